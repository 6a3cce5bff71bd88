#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12), curl of the system.
#
# Expected: when a static file's content changes, its ETag changes. nginx sends a strong ETag (no W/), and by RFC 9110, section 8.8.1,
#   a strong validator changes whenever the content does; If-None-Match and If-Range rest on that.
# Seen: the ETag is the modification time in seconds and the size. Files of a reproducibly built image all have one fixed time
#   (SOURCE_DATE_EPOCH), and two releases of an index.html that only names other hashed files have one size: then both have one ETag. A
#   browser that holds the old page asks with If-None-Match and is told 304, and keeps a page whose scripts are gone. A download that
#   goes on with If-Range gets 206 and ends as half of each release.
# So: a page that names hashed files is sent with `Cache-Control: no-store` or with `etag off; if_modified_since off`, or its time is
#   set to that of the release; a synced set gets its files' own times, and is never judged by nginx's ETag alone.

. "$(dirname "$0")/lib/common.sh"
debs 'nginx=1.22.1*'
port=$(free_port)
mkdir "$T/www" "$T/tmp"
cat >"$T/nginx.conf" <<CONF
daemon off; pid $T/pid; error_log $T/error.log; worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path $T/tmp/body; proxy_temp_path $T/tmp/proxy; fastcgi_temp_path $T/tmp/fastcgi;
  uwsgi_temp_path $T/tmp/uwsgi; scgi_temp_path $T/tmp/scgi;
  server { listen 127.0.0.1:$port; root $T/www; }
}
CONF
nginx -v
nginx -e "$T/error.log" -c "$T/nginx.conf" &
started+=($!)
page="http://127.0.0.1:$port/index.html"

# release NAME: puts a release's page in place, with the one time that a reproducible build gives each file.
release() {
  printf '<script src="/assets/app.%s.js"></script>\n' "$1" >"$T/new"
  touch -d @1700000000 "$T/new"
  mv "$T/new" "$T/www/index.html"
}
etag() { curl -s -o /dev/null -D - "$page" | tr -d '\r' | sed -n 's/^ETag: //p'; }

release 1111aaaa
until_true curl -sf "$page"
old=$(etag)
curl -s -r 0-28 "$page" >"$T/part"
release 2222bbbb
expect "ETag of the old page" "$old" '"6553f100-30"'
expect "ETag of the new page" "$(etag)" "$old"
expect "the new page, asked for with If-None-Match: status" "$(curl -s -o /dev/null -w '%{http_code}' -H "If-None-Match: $old" "$page")" 304
expect "the rest, asked for with If-Range: status" "$(curl -s -o "$T/rest" -w '%{http_code}' -H "If-Range: $old" -r 29- "$page")" 206
cat "$T/part" "$T/rest" >"$T/whole"
expect "both parts together" "$(cat "$T/whole")" '<script src="/assets/app.1111bbbb.js"></script>'
echo "AS STATED"
