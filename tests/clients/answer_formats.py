"""answer_formats.py FORMAT FILE EXPECTED.json: reads an answer with a reader that nobody at Almagest wrote.

Exits 0 if it holds the expected rows: objects with an integer `id`, a text `name`, an array `flux` and a time `t`.
"""

import datetime
import json
import sys

import numpy
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from astropy.io.votable import parse

form, file, expected = sys.argv[1:]


def from_csv():
    kinds = {"id": pyarrow.int64(), "name": pyarrow.string(), "flux": pyarrow.string(), "t": pyarrow.string()}
    convert = pyarrow.csv.ConvertOptions(
        column_types=kinds, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
    )
    lines = pyarrow.csv.ParseOptions(newlines_in_values=True)
    rows = pyarrow.csv.read_csv(file, convert_options=convert, parse_options=lines).to_pylist()
    return [{**row, "flux": row["flux"] and json.loads(row["flux"])} for row in rows]


def from_votable():
    table = parse(file, verify="exception").get_first_table()
    if {field.name: field.xtype for field in table.fields}["t"] != "timestamp":
        sys.exit("the time is not declared as one")
    rows = []
    for row in table.array:
        flux = [None if numpy.isnan(value) else float(value) for value in numpy.ma.filled(row["flux"], numpy.nan)]
        number = None if row["id"] is numpy.ma.masked else int(row["id"])
        # VOTable has one form for an empty text and for none, and one for an empty array and for none.
        rows.append({"id": number, "name": str(row["name"]), "flux": flux or None, "t": str(row["t"]) or None})
    return rows


readers = {
    "csv": from_csv,
    "json": lambda: json.load(open(file, encoding="utf-8")),
    "ndjson": lambda: [json.loads(line) for line in open(file, encoding="utf-8")],
    "parquet": lambda: pyarrow.parquet.read_table(file).to_pylist(),
    "arrow": lambda: pyarrow.ipc.open_stream(file).read_all().to_pylist(),
    "votable": from_votable,
}


def plain(row):
    """A row with its time as text of one form."""
    time = row["t"]
    if isinstance(time, str):
        time = datetime.datetime.fromisoformat(time)
    return {**row, "t": time and time.isoformat(timespec="milliseconds")}


found = [plain(row) for row in readers[form]()]
wanted = json.load(open(expected, encoding="utf-8"))
if form == "votable":
    wanted = [{**row, "name": row["name"] or ""} for row in wanted]
if found != wanted:
    sys.exit(f"{form}: {found}\nand not {wanted}")
print(f"{len(found)} rows agree")
