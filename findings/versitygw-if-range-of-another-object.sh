#!/usr/bin/env bash
# versitygw v1.8.0 (Go module), posix backend; asked by curl.
#
# Expected: a Range together with an If-Range that names another ETag than the object has is answered with 200 and the whole object
#   (RFC 9110, 13.1.5), so that a download which goes on after a break never joins two versions.
# Seen: 206 with the asked range of the new object, whatever If-Range says; an If-Match with the same ETag is heeded (412).
# So: a download from such a server goes on with If-Match and begins anew at 412; that a range came is no proof that it is of
#   the same object, so the ETag of each answer is compared with that of the first.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/versitygw.sh"

put data first-first
old=$(s3 --head "$BUCKET/data" | tr -d '\r' | sed -n 's/^[Ee][Tt]ag: //p')
put data SECOND-SECOND
expect "If-Range of the old object" \
  "$(s3 --header 'Range: bytes=6-' --header "If-Range: $old" --output "$T/rest" --write-out '%{http_code}' "$BUCKET/data")" 206
expect "what came" "$(cat "$T/rest")" "-SECOND"
expect "If-Match of the old object" \
  "$(s3 --header 'Range: bytes=6-' --header "If-Match: $old" --output /dev/null --write-out '%{http_code}' "$BUCKET/data")" 412
echo "AS STATED"
