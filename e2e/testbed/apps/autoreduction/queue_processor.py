"""Takes runs from the queue, one at a time, and reduces each.

As the program of its people it acknowledges a run before it works on it, so a crash loses that one; and it keeps a file for as long as it
works, by which whoever stops it can wait. With ACKNOWLEDGE=after it acknowledges after its work, and then nothing is ever lost.

The reduction itself stands in the place of Mantid: it waits for REDUCTION_SECONDS and adds neighbouring counts.
"""
import json
import os
import queue
import signal
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autoreduce.settings")
import django

django.setup()
import stomp
from django.db import close_old_connections
from django.db.models import F

from reduction_viewer.models import ReductionRun

BROKER = (os.environ.get("AMQ_HOST", "activemq"), 61613)
BUSY = "/tmp/processing"
AFTER = os.environ.get("ACKNOWLEDGE") == "after"
INSTRUMENT = os.environ.get("INSTRUMENT", "WISH")


class Listener(stomp.ConnectionListener):
    def __init__(self):
        # One that a signal's handler may put into while it is waited on.
        self.frames = queue.SimpleQueue()

    def on_message(self, frame):
        self.frames.put(frame)

    def on_disconnected(self):
        self.frames.put(None)


def note(number, frame):
    """Writes down what was taken, and whether the broker had given it out before."""
    folder = f"/instrument/{INSTRUMENT}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/taken", "a", encoding="ascii") as file:
        file.write(f"{number} {frame.headers.get('redelivered', 'false')}\n")


def reduce(number):
    """The counts of a run, two and two together."""
    with open(f"/isis/NDX{INSTRUMENT}/{INSTRUMENT}{number:05}.txt", encoding="ascii") as file:
        counts = [int(line) for line in file]
    time.sleep(float(os.environ.get("REDUCTION_SECONDS", "2")))
    return [sum(counts[n : n + 2]) for n in range(0, len(counts), 2)]


def process(number):
    close_old_connections()
    run = ReductionRun.objects.filter(run_number=number)
    run.update(state=ReductionRun.PROCESSING, attempts=F("attempts") + 1)
    try:
        result = json.dumps(reduce(number))
    except (OSError, ValueError) as error:
        print(f"run {number} cannot be reduced: {error}", flush=True)
        run.update(state=ReductionRun.FAILED)
        return
    folder = f"/instrument/{INSTRUMENT}/results"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{number}.json", "w", encoding="ascii") as file:
        file.write(result)
    close_old_connections()
    run.update(state=ReductionRun.COMPLETED, result=result)
    print(f"run {number} is reduced", flush=True)


def main():
    stopping, listener = [], Listener()
    signal.signal(signal.SIGTERM, lambda *_: (stopping.append(True), listener.frames.put(None)))
    broker = stomp.Connection12([BROKER], heartbeats=(60000, 60000))
    broker.set_listener("processor", listener)
    broker.connect("consumer", os.environ["AMQ_CONSUMER_PASSWORD"], wait=True)
    broker.subscribe("/queue/DataReady", id="1", ack="client-individual", headers={"activemq.prefetchSize": "1"})
    print("waiting", flush=True)
    while not stopping:
        frame = listener.frames.get()
        if frame is None:
            break
        open(BUSY, "w", encoding="ascii").close()
        if not AFTER:
            broker.ack(frame.headers["ack"])
        number = json.loads(frame.body)["run_number"]
        note(number, frame)
        process(number)
        if AFTER:
            broker.ack(frame.headers["ack"])
        os.remove(BUSY)
    if not stopping:
        raise SystemExit("the broker is gone")
    broker.disconnect()


main()
