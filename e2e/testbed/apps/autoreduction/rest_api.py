"""The REST API: takes runs that are to be reduced, writes each down once, and queues it.

  POST /api/runs/NUMBER   queues the run, unless it is known
  GET  /api/runs/NUMBER   what became of it

On another port it says whether it is alive and ready, which its people ask for.
"""
import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autoreduce.settings")
import django

django.setup()
import stomp
from django.db import close_old_connections, connection, transaction

from reduction_viewer.models import ReductionRun

BROKER = (os.environ.get("AMQ_HOST", "activemq"), 61613)
QUEUE = "/queue/DataReady"


def send(number):
    """Puts a message into the queue, and comes back when the broker has it on its disk."""
    broker = stomp.Connection12([BROKER], auto_content_length=False)
    broker.connect("consumer", os.environ["AMQ_CONSUMER_PASSWORD"], wait=True)
    try:
        waits = stomp.listener.WaitingListener("sent")
        broker.set_listener("sent", waits)
        broker.send(QUEUE, json.dumps({"run_number": number}), headers={"persistent": "true"}, receipt="sent")
        waits.wait_on_receipt()
    finally:
        broker.disconnect()


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, code, what):
        body = (json.dumps(what) + "\n").encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def number(self):
        folder, _, number = self.path.rpartition("/")
        return int(number) if folder == "/api/runs" and number.isdigit() else None

    def handle_one_request(self):
        close_old_connections()
        super().handle_one_request()

    def do_POST(self):
        number = self.number()
        if number is None:
            return self.answer(404, {"error": "POST /api/runs/NUMBER"})
        # A run that is written down and not queued would be lost, one that is queued twice is done twice: who queues it has the row.
        try:
            with transaction.atomic():
                found, is_new = ReductionRun.objects.select_for_update().get_or_create(run_number=number)
                if is_new:
                    send(number)
        except (stomp.exception.StompException, django.db.Error) as error:
            return self.answer(503, {"error": f"not queued, try again: {error}"})
        self.answer(202 if is_new else 200, {"run_number": number, "state": found.state})

    def do_GET(self):
        found = ReductionRun.objects.filter(run_number=self.number()).first()
        if found is None:
            return self.answer(404, {"error": "no such run"})
        self.answer(200, {"run_number": found.run_number, "state": found.state, "attempts": found.attempts})

    def log_message(self, format, *args):
        print(format % args, flush=True)


class Probe(BaseHTTPRequestHandler):
    def do_GET(self):
        code = 200
        if self.path == "/ready":
            try:
                close_old_connections()
                connection.ensure_connection()
            except django.db.Error:
                code = 503
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):
        pass


if __name__ == "__main__":
    servers = [ThreadingHTTPServer(("0.0.0.0", 8001), Api), ThreadingHTTPServer(("0.0.0.0", 8005), Probe)]
    # A request that is under way ends before the program does.
    signal.signal(signal.SIGTERM, lambda *_: [threading.Thread(target=server.shutdown).start() for server in servers])
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    [server.server_close() for server in servers]
