#!/usr/bin/env bash
# awscli 1.46.2 (PyPI), against moto 5.2.5 (PyPI) as the S3 server.
#
# Expected: `aws s3 sync s3://sets/prices folder` brings what changed: by its manual it copies new and updated files. An object that was
#   written again after the last sync is updated, and its time in the listing says so.
# Seen: an object of the same size as the file is never fetched, however new it is: exit status 0, nothing said, the old content stays. A
#   file counts as changed only when its size differs or, turned round, when the local one is newer than the object. Only the help of
#   --exact-timestamps tells it, and with that flag the object is fetched. In the other direction, a changed file of the same size
#   is not sent when its own time (kept by an archive or a build) is older than the object's.
# So: sets of fixed-size records, counters and checksums never arrive by a plain `aws s3 sync`; sizes and times prove nothing there,
#   ETags do.

. "$(dirname "$0")/lib/common.sh"
pip_install awscli==1.46.2 'moto[server]==5.2.5'
aws --version
port=$(free_port)
moto_server -H 127.0.0.1 -p "$port" >"$T/server.log" 2>&1 &
started+=($!)
export HOME="$T" AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 AWS_ENDPOINT_URL="http://127.0.0.1:$port"
until_true curl -s "http://127.0.0.1:$port/"
cd "$T"
aws s3 mb s3://sets >/dev/null

# write CONTENT: an object of that content, by a program that is no sync.
write() { printf '%s\n' "$1" | aws s3 cp --quiet - s3://sets/prices/today; }
write 100.00
expect "first sync: exit status" "$(status aws s3 sync s3://sets/prices folder)" 0
expect "the file" "$(cat folder/today)" 100.00
sleep 2
write 250.00
expect "second sync: exit status" "$(status aws s3 sync s3://sets/prices folder)" 0
expect "said" "$(cat said)" ""
expect "the file" "$(cat folder/today)" 100.00
write 1250.00
expect "sync after another size: exit status" "$(status aws s3 sync s3://sets/prices folder)" 0
expect "the file" "$(cat folder/today)" 1250.00
sleep 2
write 3250.00
expect "sync --exact-timestamps: exit status" "$(status aws s3 sync s3://sets/prices folder --exact-timestamps)" 0
expect "the file" "$(cat folder/today)" 3250.00

echo 4250.00 >folder/today
touch -d '1 hour ago' folder/today
expect "sync to the bucket of a changed file with an older time: exit status" "$(status aws s3 sync folder s3://sets/prices)" 0
expect "the object" "$(aws s3 cp s3://sets/prices/today -)" 3250.00
echo "AS STATED"
