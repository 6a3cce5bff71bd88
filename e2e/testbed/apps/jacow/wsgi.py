"""A stand-in for the JACoW validator: it takes uploads, and compares them with a CSV file that somebody else keeps up to date."""
import csv
import hashlib
import os

from flask import Flask, jsonify, request

app = Flask(__name__)
REFERENCES = os.environ["PATH_TO_JACOW_REFERENCES_CSV"]


def references():
    with open(REFERENCES, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@app.get("/")
def index():
    rows = references()
    return jsonify(
        revision=os.environ.get("DROVER_IMAGE_REVISION", ""),
        commit=os.environ.get("DROVER_COMMIT", ""),
        references=len(rows),
        first=rows[0] if rows else [],
        worker=os.getpid(),
    )


@app.get("/upload")
def form():
    return '<form method="post" enctype="multipart/form-data"><input type="file" name="document"><button>Check</button></form>'


@app.post("/upload")
def upload():
    digest, size = hashlib.sha256(), 0
    while chunk := request.stream.read(1 << 16):
        digest.update(chunk)
        size += len(chunk)
    return jsonify(sha256=digest.hexdigest(), bytes=size, references=len(references()))
