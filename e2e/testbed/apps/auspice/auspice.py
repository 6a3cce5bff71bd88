"""A stand-in for Nextstrain's `auspice view`: serves the datasets of a folder, and its page for every path that it does not know."""
import json
import os
import pathlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

FOLDER = pathlib.Path(sys.argv[sys.argv.index("--datasetDir") + 1])
if not FOLDER.is_dir():
    sys.exit(2)

# Tells the page whose frame this is what the tree is of.
PAGE = """<!doctype html><title>auspice</title><script>
fetch("/charon/getDataset?prefix=tree").then(answer => answer.json())
  .then(tree => parent.postMessage("tree of edition " + tree.edition, "*"))
</script>"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = urlsplit(self.path)
        if asked.path == "/charon/getAvailable":
            names = sorted(path.stem for path in FOLDER.glob("*.json"))
            return self.answer(200, "application/json", json.dumps({"datasets": [{"request": name} for name in names]}))
        if asked.path == "/charon/getDataset":
            name = parse_qs(asked.query).get("prefix", [""])[0].strip("/")
            path = FOLDER / f"{name}.json"
            if "/" in name or not path.is_file():
                return self.answer(404, "text/plain", "no such dataset")
            return self.answer(200, "application/json", path.read_text())
        return self.answer(200, "text/html", PAGE)

    def answer(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer((os.environ.get("HOST", "localhost"), int(os.environ.get("PORT", "4000"))), Handler).serve_forever()
