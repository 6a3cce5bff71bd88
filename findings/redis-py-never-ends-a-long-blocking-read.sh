#!/usr/bin/env bash
# redis-py 8.1.0 (PyPI), Redis 7.0.15 (Debian 12).
#
# Expected: blpop("jobs", timeout=8) waits 8 seconds for a job and returns None when none came; xread(block=8000) likewise an empty
#   answer. So the documentation of both commands says, and a worker's loop looks after each such pause whether it is to stop.
# Seen: the client of the defaults gives each read of its socket 5 seconds, which is less than the 8 that it told the server to wait.
#   It takes that for a broken connection, connects anew and asks again, many times, and raises TimeoutError after about a minute.
#   With timeout=3 the answer is None after 3 s. With socket_timeout=None it is None after 8 s.
# So: an idle worker dies of an error, or hangs ten times longer than its pause and is killed while it is told to stop. An image with
#   this client gets its socket_timeout set above its longest pause; a worker that restarts while its queue is empty is asked for it.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/redis.sh"

# wait_for COMMAND [OPTION=VALUE]: the answer, and whether it came in its 8 seconds (less than 10).
wait_for() {
  python3 - "$port" "$@" <<'PYTHON'
import sys, time, redis
port, command = int(sys.argv[1]), sys.argv[2]
client = redis.Redis(port=port, **({"socket_timeout": None} if "socket_timeout=None" in sys.argv else {}))
start = time.monotonic()
try:
    answer = {
        "blpop-3": lambda: client.blpop("jobs", timeout=3),
        "blpop-8": lambda: client.blpop("jobs", timeout=8),
        "xread-8": lambda: client.xread({"events": "$"}, block=8000),
    }[command]() or "nothing"
except redis.TimeoutError:
    answer = "TimeoutError"
took = time.monotonic() - start
print(f"{command} took {took:.0f} s", file=sys.stderr)
print(answer, "in time" if took < 10 else "after more than 30 s" if took > 30 else "late")
PYTHON
}
expect "blpop, 3 s" "$(wait_for blpop-3)" "nothing in time"
expect "blpop, 8 s, socket_timeout=None" "$(wait_for blpop-8 socket_timeout=None)" "nothing in time"
expect "blpop, 8 s" "$(wait_for blpop-8)" "TimeoutError after more than 30 s"
expect "xread, 8 s" "$(wait_for xread-8)" "TimeoutError after more than 30 s"
echo "AS STATED"
