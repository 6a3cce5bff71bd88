"""Takes messages from a queue of ActiveMQ over STOMP, one at a time, and acknowledges each after its work.

A message is `NAME SECONDS`: the work is to wait for so long. What was done is put into the queue `QUEUE.done`, before it is acknowledged: a
worker that dies in between leaves the message to another one, and it is done twice, but never not at all. On SIGTERM it ends what it works on,
takes no other, and goes.
"""
import os
import queue
import signal
import time

import stomp

HOST, QUEUE = os.environ["AMQ_HOST"], os.environ["AMQ_QUEUE"]
PREFETCH = os.environ.get("AMQ_PREFETCH", "1")


class Listener(stomp.ConnectionListener):
    def __init__(self):
        # One that a signal's handler may put into while it is waited on, which holds the other one's lock.
        self.frames = queue.SimpleQueue()

    def on_message(self, frame):
        self.frames.put(frame)

    def on_disconnected(self):
        self.frames.put(None)


def main():
    stopping = []
    listener = Listener()

    def stop(*_):
        stopping.append(True)
        listener.frames.put(None)

    signal.signal(signal.SIGTERM, stop)
    # What another broker takes over, or the same one that was started anew, is connected to anew: Kubernetes starts this program again.
    # With a length what it sends would be bytes to the broker, and no text.
    connection = stomp.Connection12([(HOST, 61613)], heartbeats=(60000, 60000), auto_content_length=False)
    connection.set_listener("worker", listener)
    connection.connect(wait=True)
    headers = {"activemq.prefetchSize": PREFETCH}
    connection.subscribe(f"/queue/{QUEUE}", id="1", ack="client-individual", headers=headers)
    print("waiting", flush=True)
    while not stopping:
        frame = listener.frames.get()
        if frame is None:
            break
        name, seconds = frame.body.split()
        redelivered = frame.headers.get("redelivered", "false")
        print(f"begins {name}, redelivered {redelivered}", flush=True)
        time.sleep(float(seconds))
        done = f"{name} {redelivered}"
        receipt = f"done-{name}-{time.monotonic_ns()}"
        connection.send(f"/queue/{QUEUE}.done", done, headers={"persistent": "true"}, receipt=receipt)
        connection.ack(frame.headers["ack"])
        print(f"ends {name}", flush=True)
    if stopping and connection.is_connected():
        connection.unsubscribe(id="1")
        connection.disconnect()
        print("goes", flush=True)
    elif not stopping:
        raise SystemExit("the broker is gone")


main()
