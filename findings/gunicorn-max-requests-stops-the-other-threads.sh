#!/usr/bin/env bash
# gunicorn 27.0.1 (PyPI).
#
# Expected: --max-requests lets a worker end after so many requests and a new one take its place, without a pause: the documentation calls
#   it a guard against leaks. If requests are still running in other threads, --graceful-timeout is the longest that they hold it up.
# Seen: with one gthread worker of 8 threads, the worker that has its number takes no more requests, and the master starts the new one only
#   when the old one has ended. One slow request (10 s here; an upload, an export) makes all others wait until it is done, with seven
#   threads idle. --graceful-timeout 2 is no bound: the worker says that it exits after 2 s, and lives on until the request's end.
#   A liveness probe with a budget below the longest request kills the container then, and with it the slow request.
# So: a web program whose worker recycles itself runs two workers at least, with --max-requests-jitter, and the liveness budget
#   stays above its longest request.

. "$(dirname "$0")/lib/common.sh"
pip_install gunicorn==27.0.1
gunicorn --version
cat >"$T/app.py" <<'PYTHON'
import time

def app(environ, start_response):
    time.sleep(10 if environ["PATH_INFO"] == "/slow" else 0)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
PYTHON
port=$(free_port)
cd "$T"
gunicorn --no-control-socket --bind "127.0.0.1:$port" --workers 1 --worker-class gthread --threads 8 \
  --max-requests 5 --graceful-timeout 2 app:app >"$T/gunicorn.log" 2>&1 &
started+=($!)
# ask PATH: the status of the answer, and "at once" or "late" (after more than 5 s).
ask() { curl -s -m 30 -o /dev/null -w '%{http_code} %{time_total}\n' "http://127.0.0.1:$port$1" | awk '{print $1, ($2 > 5 ? "late" : "at once")}'; }
until_true curl -sf "http://127.0.0.1:$port/"

ask /slow >"$T/slow" &
slow=$!
sleep 1
expect "request 3" "$(ask /)" "200 at once"
expect "request 4" "$(ask /)" "200 at once"
expect "request 5" "$(ask /)" "200 at once"
expect "request 6, while the slow one runs in another thread" "$(ask /)" "200 late"
wait "$slow"
expect "the slow one itself" "$(cat "$T/slow")" "200 late"
expect "request 7" "$(ask /)" "200 at once"
cat "$T/gunicorn.log"
# Seconds from the old worker's word that it exits to the start of the new one.
gap=$(python3 - "$T/gunicorn.log" <<'PYTHON'
import re, sys
from datetime import datetime
at = lambda line: datetime.strptime(re.match(r"\[(.{19})", line)[1], "%Y-%m-%d %H:%M:%S")
lines = open(sys.argv[1]).read().splitlines()
exits = next(line for line in lines if "Worker exiting" in line)
boots = [line for line in lines if "Booting worker" in line][1]
print((at(boots) - at(exits)).seconds)
PYTHON
)
expect "between 'Worker exiting' and the next worker lie more than 4 s" "$([ "$gap" -gt 4 ] && echo yes)" yes
echo "AS STATED"
