#!/usr/bin/env bash
# APScheduler 3.11.3 (PyPI).
#
# Expected: CronTrigger.from_crontab takes a standard crontab expression, as its documentation says: 0 is Sunday and 1 is Monday (POSIX,
#   cron(8), Kubernetes), and where both the day of the month and the day of the week are restricted, either of them is enough.
# Seen: 0 is Monday. `0 0 * * 1` fires on Tuesdays, `0 0 * * 1-5` from Tuesday to Saturday; names (mon) are right; 7 is refused.
#   `0 0 13 * 5` fires only where the 13th is a Saturday (both must hold, and 5 is Saturday): three times in 2027, instead of
#   each Friday and each 13th.
# So: a schedule that moves from such a program to a CronJob changes its days although no letter of it changed; weekdays are written
#   as names in what drover shows, and its advice is to write them so.

. "$(dirname "$0")/lib/common.sh"
pip_install APScheduler==3.11.3

# days EXPRESSION: the weekdays on which it fires in 2027, in the order of the week, and how often it fires.
days() {
  python3 - "$1" <<'PYTHON'
import sys
from datetime import datetime, timedelta, timezone
from apscheduler.triggers.cron import CronTrigger
try:
    trigger = CronTrigger.from_crontab(sys.argv[1], timezone="UTC")
except ValueError:
    print("refused")
    raise SystemExit
fires, at = [], datetime(2027, 1, 1, tzinfo=timezone.utc)
while (at := trigger.get_next_fire_time(None, at)) and at.year == 2027:
    fires.append(at)
    at += timedelta(minutes=1)
week = sorted({fire.weekday() for fire in fires})
print(*(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day] for day in week), len(fires))
PYTHON
}
expect "0 0 * * 1" "$(days '0 0 * * 1')" "Tue 52"
expect "0 0 * * 0" "$(days '0 0 * * 0')" "Mon 52"
expect "0 0 * * 1-5" "$(days '0 0 * * 1-5')" "Tue Wed Thu Fri Sat 261"
expect "0 0 * * mon" "$(days '0 0 * * mon')" "Mon 52"
expect "0 0 * * 7" "$(days '0 0 * * 7')" "refused"
expect "0 0 13 * 5" "$(days '0 0 13 * 5')" "Sat 3"
echo "AS STATED"
