#!/usr/bin/env bash
# curl 7.88.1 (Debian 12), against nginx 1.22.1 (Debian 12).
#
# Expected: `curl --etag-compare E --etag-save E -o FILE URL` downloads only when the content changed, and may be run again and again.
#   The manual says that --etag-save saves the ETag of the response for a later --etag-compare. A download that was cut off (exit
#   status 28 or 18) was not completed, so the next run fetches the file again.
# Seen: the ETag is saved when the headers come. The run that is cut off exits 28 and leaves a part of FILE and the full ETag; the
#   next run asks with If-None-Match, is told 304, and exits 0. FILE stays cut until the content changes on the server.
#   Beside it: `-C -` goes on with Range alone, without If-Range. A file that was replaced by a longer one meanwhile becomes the
#   beginning of the old and the end of the new one, exit status 0, and its size is right.
# So: a fetch writes beside its target, and the ETag is kept only together with the finished file, in one rename.

. "$(dirname "$0")/lib/common.sh"
debs 'nginx=1.22.1*' 'curl=7.88.1*' 'libcurl4=7.88.1*'
port=$(free_port)
mkdir "$T/www" "$T/tmp"
cat >"$T/nginx.conf" <<CONF
daemon off; pid $T/pid; error_log $T/error.log; worker_processes 1;
events {}
http {
  log_format asked '\$status if_none_match=\$http_if_none_match range=\$http_range if_range=\$http_if_range';
  access_log $T/access.log asked;
  client_body_temp_path $T/tmp/body; proxy_temp_path $T/tmp/proxy; fastcgi_temp_path $T/tmp/fastcgi;
  uwsgi_temp_path $T/tmp/uwsgi; scgi_temp_path $T/tmp/scgi;
  server {
    listen 127.0.0.1:$port; root $T/www;
    location /slowly/ { alias $T/www/; limit_rate 100k; }
  }
}
CONF
curl --version | sed -n 1p
nginx -e "$T/error.log" -c "$T/nginx.conf" &
started+=($!)
url="http://127.0.0.1:$port"
cd "$T"
head -c 1000000 /dev/zero | tr '\0' a >www/set
until_true curl -sf "$url/set"

get() { curl -s --etag-compare etag --etag-save etag -o file "$@"; }
expect "cut off by --max-time: exit status" "$(status get --max-time 1 "$url/slowly/set")" 28
cut=$(stat -c %s file)
expect "the file is a part" "$([ "$cut" -lt 1000000 ] && echo yes)" yes
expect "the next run: exit status" "$(status get "$url/set")" 0
tail -1 access.log
expect "what it was told" "$(tail -1 access.log | cut -d' ' -f1)" 304
expect "the file is the same part" "$([ "$(stat -c %s file)" = "$cut" ] && echo yes)" yes

rm file
expect "cut off again, without ETags: exit status" "$(status curl -s --max-time 1 -o file "$url/slowly/set")" 28
head -c 1200000 /dev/zero | tr '\0' b >new
mv new www/set
expect "-C - against the replaced file: exit status" "$(status curl -s -C - -o file "$url/set")" 0
tail -1 access.log
expect "requests of it with If-Range" "$(tail -1 access.log | grep -c 'if_range=[^-]' || true)" 0
expect "size" "$(stat -c %s file)" 1200000
expect "letters of which the file consists" "$(fold -w 1000 file | cut -c1 | sort -u | tr -d '\n')" ab
echo "AS STATED"
