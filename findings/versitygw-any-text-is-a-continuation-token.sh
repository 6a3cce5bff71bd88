#!/usr/bin/env bash
# versitygw v1.8.0 (Go module), posix backend; asked by curl.
#
# Expected: ListObjectsV2 refuses a continuation-token that it never gave (S3 answers 400 InvalidArgument): the token is opaque, and
#   a wrong one, such as one of another bucket or prefix, must not look like a short listing.
# Seen: 200, IsTruncated false, and only the keys that sort after the token's text: the token is taken for a key to start after.
#   The keys before it are missing without a word.
# So: whoever mirrors a bucket goes on only with the very token of the page before, and takes a listing for whole only when it began
#   without one; a sync that was broken off begins its listing anew.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/versitygw.sh"

for key in apple mango zebra; do put "$key" "$key"; done
whole=$(s3 "$BUCKET?list-type=2")
expect "without a token" "$(keys "$whole")" "apple mango zebra"
with=$(s3 --output "$T/page" --write-out '%{http_code}' "$BUCKET?continuation-token=never-given&list-type=2")
expect "with a token that was never given" "$with" 200
page=$(cat "$T/page")
expect "its keys" "$(keys "$page")" "zebra"
expect "truncated" "$(grep -o '<IsTruncated>[a-z]*' <<<"$page")" "<IsTruncated>false"
echo "AS STATED"
