"""A stand-in for ViewBovis: pages about samples, made of data that somebody else uploads to a bucket."""
import json
import os
import pathlib
import sqlite3

from flask import Flask, jsonify

app = Flask(__name__)
DATA = pathlib.Path(os.environ.get("DATA_DIR", "/data"))
LAYERS = pathlib.Path(os.environ.get("LAYERS_DIR", "/ViewBovis/app/static/data"))


def edition():
    """Which upload the data is of: each file of a set says it, so that a set of two uploads is seen."""
    said = {json.loads((DATA / "metadata.json").read_text())["edition"]}
    with sqlite3.connect(f"file:{DATA}/viewbovis.db?mode=ro&immutable=1", uri=True) as database:
        said.add(database.execute("select edition from about").fetchone()[0])
    for folder in (DATA / "snp_matrix", LAYERS):
        said.update(json.loads(path.read_text())["edition"] for path in folder.iterdir())
    return sorted(said)


# As the real one, it does not start on data that it cannot read.
edition()


@app.get("/")
def index():
    tree = os.environ.get("TREE", "")
    return (
        f"<!doctype html><title>ViewBovis</title><p>revision {os.environ.get('DROVER_IMAGE_REVISION', '')}</p>"
        f"<p>edition {' and '.join(edition())}</p><p id=tree></p><iframe src='http://{tree}/'></iframe>"
        # What the frame, which is of the other host, shows.
        "<script>addEventListener('message', said => { document.querySelector('#tree').textContent = said.data })</script>"
    )


@app.get("/sample")
@app.get("/sample/related")
@app.get("/sample/matrix")
def sample():
    return jsonify(edition=edition())
