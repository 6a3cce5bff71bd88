# shellcheck shell=bash
# A versitygw with an empty bucket `bucket` for a finding: sourced after common.sh. It is built from its Go module, which takes minutes.
VERSITYGW=v1.8.0
export GOPATH="$T/go" GOFLAGS=-modcacherw CGO_ENABLED=0 GOCACHE="${GOCACHE:-$(go env GOCACHE)}"
GOBIN="$T/bin" go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"
"$T/bin/versitygw" --version | head -n 1
mkdir "$T/store"
port=$(free_port)
ROOT_ACCESS_KEY=reader ROOT_SECRET_KEY=of-this-script "$T/bin/versitygw" --port "127.0.0.1:$port" posix "$T/store" >"$T/versitygw.log" 2>&1 &
started+=($!)
BUCKET="http://127.0.0.1:$port/bucket"

# s3 ARGUMENT…: curl, with a signature.
s3() {
  curl --silent --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --aws-sigv4 aws:amz:us-east-1:s3 --user reader:of-this-script "$@"
}
until_true curl --silent "http://127.0.0.1:$port/"
s3 --request PUT "$BUCKET"

# put KEY TEXT: an object, its key as it stands in an address.
put() { printf '%s' "$2" >"$T/object"; s3 --upload-file "$T/object" "$BUCKET/$1"; }
# keys ANSWER: the keys of a listing, in one line.
keys() { grep -o '<Key>[^<]*</Key>' <<<"$1" | sed 's/<[^>]*>//g' | paste -s -d ' ' -; }
