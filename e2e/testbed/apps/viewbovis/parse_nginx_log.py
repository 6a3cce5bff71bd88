"""A stand-in for ViewBovis' own script: counts the requests of one day by what was asked for, from an access log of nginx."""
import argparse
import json
import pathlib
import re

COUNTED = ["/ ", "/sample", "/sample/related", "/sample/matrix", "/charon/getDataset"]
REQUEST = re.compile(r'"GET (?P<target>[^ "]+) HTTP/')
DAY = re.compile(r"\d{4}-\d\d-\d\d")

parser = argparse.ArgumentParser()
parser.add_argument("--log_path", type=pathlib.Path, required=True)
parser.add_argument("--out_dir", type=pathlib.Path, required=True)
arguments = parser.parse_args()

counts = dict.fromkeys(COUNTED, 0)
for line in arguments.log_path.read_text(encoding="utf-8", errors="replace").splitlines():
    if found := REQUEST.search(line):
        path = found["target"].split("?")[0]
        key = "/ " if path == "/" else path
        if key in counts:
            counts[key] += 1
day = DAY.search(arguments.log_path.name)[0]
(arguments.out_dir / f"viewbovis_requests_{day}.json").write_text(json.dumps(counts, indent=4))
print(f"{sum(counts.values())} requests of {day}")
