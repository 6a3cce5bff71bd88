"""One look at the archive: submits what is newer than what was submitted last, and remembers that on a volume."""
import json
import os
import urllib.request

STATE = "/state/lastruns.json"
API = os.environ["AUTOREDUCE_API_URL"]
INSTRUMENTS = os.environ.get("INSTRUMENTS", "WISH").split()


def main():
    try:
        with open(STATE, encoding="ascii") as file:
            known = json.load(file)
    except FileNotFoundError:
        known = {}
    for instrument in INSTRUMENTS:
        try:
            with open(f"/isis/NDX{instrument}/lastrun.txt", encoding="ascii") as file:
                # Such as `WISH 00042 0`.
                newest = int(file.read().split()[1])
        except FileNotFoundError:
            print(f"{instrument} has no runs", flush=True)
            continue
        for number in range(known.get(instrument, newest - 1) + 1, newest + 1):
            request = urllib.request.Request(f"{API}/runs/{number}", method="POST", data=b"")
            with urllib.request.urlopen(request, timeout=30) as answer:
                print(f"run {number} of {instrument}: {answer.status}", flush=True)
            # After each, so that one that fails is submitted again and those before it are not.
            known[instrument] = number
            with open(STATE + ".part", "w", encoding="ascii") as file:
                json.dump(known, file)
            os.rename(STATE + ".part", STATE)


main()
