#!/usr/bin/env bash
# redis-py 8.1.0 (PyPI), Redis 7.0.15 (Debian 12).
#
# Expected: a command whose answer did not come in time raises TimeoutError, and the caller decides what to do: whether a push or a
#   pop was carried out is not known then, and neither may be repeated blindly. A client may well retry what it only reads.
# Seen: the client of the defaults retries every command by itself after a timeout (5 s; several tries), pushes and pops too, and says
#   nothing of it. A server that stands still for 7 s (a paused machine, a slow disk) has both tries in its socket and carries out both:
#   one RPUSH returns 2 and there are two jobs; one LPOP returns the second job, and the first is gone for good. With retry=None the
#   push raises TimeoutError, once.
# So: work in such a queue is done twice or not at all now and then, without an error anywhere: the number of waiting jobs is no count
#   of what was sent, jobs carry an id and can be done twice, and a pop moves the job to a list of its own (LMOVE) instead.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/redis.sh"

cat >"$T/halt.py" <<'PYTHON'
import os, signal, sys, threading, time, redis
port, server, command, client = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
watcher = redis.Redis(port=port)
watcher.delete("jobs")
if command == "lpop":
    watcher.rpush("jobs", "one", "two", "three")
tried = redis.Redis(port=port, **({"retry": None} if client == "no-retry" else {}))
tried.ping()
os.kill(server, signal.SIGSTOP)
threading.Timer(7, lambda: os.kill(server, signal.SIGCONT)).start()
try:
    answer = tried.rpush("jobs", "one") if command == "rpush" else tried.lpop("jobs").decode()
except redis.TimeoutError:
    answer = "TimeoutError"
time.sleep(4)
print(answer, *(job.decode() for job in watcher.lrange("jobs", 0, -1)))
PYTHON
halted() { python3 "$T/halt.py" "$port" "$server" "$@"; }
expect "one RPUSH of job one: its answer, then the list" "$(halted rpush default)" "2 one one"
expect "one LPOP of one, two, three: its answer, then the list" "$(halted lpop default)" "two three"
expect "one RPUSH without retries: its answer, then the list" "$(halted rpush no-retry)" "TimeoutError one"
echo "AS STATED"
