"""format_values.py FORMAT FILE EXPECTED.parquet: reads an answer with readers that nobody at Almagest wrote.

The Parquet file holds what was asked for, written without Almagest. Exits 0 if the answer has the same values: floats
equal to the bit, and NULL where it was, as far as the format has a form for it.
"""

import bz2
import datetime
import decimal
import gzip
import json
import math
import sys
import warnings

import duckdb
import numpy
import pyarrow
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from astropy.io import fits
from astropy.io.votable import parse
from astropy.io.votable.exceptions import W55
from astropy.table import Table

form, file, original = sys.argv[1:]
wanted = pyarrow.parquet.read_table(original)
kind = form.split(".")[0]
exact = decimal.Decimal


def shortest(number):
    """A float as the one text that it has."""
    return "NaN" if math.isnan(number) else repr(float(number))


def plain(value, field):
    """A value as what any format can hold: texts, numbers and lists."""
    if value is None or value is numpy.ma.masked:
        return None
    if isinstance(value, (list, tuple, numpy.ndarray)):
        inner = field.value_type if pyarrow.types.is_list(field) or pyarrow.types.is_fixed_size_list(field) else field
        return [plain(item, inner) for item in value]
    if isinstance(value, (bool, numpy.bool_)):
        return bool(value)
    if isinstance(value, decimal.Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="microseconds")
    if pyarrow.types.is_float32(field) and isinstance(value, (int, float, numpy.floating)):
        return shortest(numpy.float32(value))
    if pyarrow.types.is_float64(field) and isinstance(value, (int, float, numpy.floating)):
        return shortest(value)
    if isinstance(value, (int, numpy.integer)):
        return int(value)
    return str(value)


def typed(value, field):
    """A text that stands for a value of this type."""
    kinds = pyarrow.types
    if isinstance(value, list):
        return [typed(item, field.value_type) for item in value]
    if isinstance(value, decimal.Decimal) and not kinds.is_decimal(field):
        return float(value)
    if not isinstance(value, str):
        return value
    if kinds.is_timestamp(field):
        return datetime.datetime.fromisoformat(value[:26])
    if kinds.is_date(field):
        return datetime.date.fromisoformat(value)
    if kinds.is_time(field):
        return datetime.time.fromisoformat(value)
    if kinds.is_decimal(field):
        return decimal.Decimal(value)
    if kinds.is_boolean(field):
        return {"true": True, "false": False}[value]
    if kinds.is_integer(field):
        return int(value)
    if kinds.is_floating(field):
        return float(value)
    if kinds.is_binary(field):
        return bytes.fromhex(value)
    if kinds.is_list(field) or kinds.is_fixed_size_list(field):
        return typed(json.loads(value), field)
    return value


def from_text(separator):
    """The reader of CSV that comes with Python's neighbours: all columns as text first."""
    names = wanted.column_names
    convert = pyarrow.csv.ConvertOptions(
        column_types={name: pyarrow.string() for name in names},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    lines = pyarrow.csv.ParseOptions(newlines_in_values=True, delimiter=separator)
    opened = {"gz": gzip.open, "bz2": bz2.open}.get(form.split(".")[-1], open)(file, "rb")
    if form.endswith(".zst"):
        opened = pyarrow.input_stream(file, compression="zstd")
    rows = pyarrow.csv.read_csv(opened, convert_options=convert, parse_options=lines)
    same_by_duckdb(rows, separator)
    return {name: [typed(value, wanted.schema.field(name).type) for value in rows[name].to_pylist()] for name in names}


def same_by_duckdb(rows, separator):
    """DuckDB reads the same texts from CSV; it reads no file of bzip2."""
    if form.endswith(".bz2"):
        return
    found = duckdb.sql(
        f"SELECT * FROM read_csv('{file}', delim='{separator}', quote='\"', escape='\"', header=true, "
        "all_varchar=true, nullstr='', allow_quoted_nulls=false, strict_mode=true)"
    ).to_arrow_table()
    for name in rows.column_names:
        if found[name].to_pylist() != rows[name].to_pylist():
            sys.exit(f"DuckDB: {name}: {found[name].to_pylist()}\nand not {rows[name].to_pylist()}")


def from_json(rows):
    columns = {}
    for name in wanted.column_names:
        columns[name] = [typed(row[name], wanted.schema.field(name).type) for row in rows]
    return columns


def from_votable():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # In TABLEDATA a char is one of UTF-8, as VOTable 1.6 has it; astropy reads it, and would rather not.
        warnings.simplefilter("ignore", W55)
        table = parse(file, verify="exception").get_first_table()
    columns = {}
    for field in table.fields:
        kept = wanted.schema.field(field.name)
        noted = {key.decode(): value.decode() for key, value in (kept.metadata or {}).items()}
        for key, found in (("vo:ucd", field.ucd), ("vo:xtype", field.xtype), ("vo:description", field.description)):
            if key in noted and str(found) != noted[key]:
                sys.exit(f"{field.name}: {key} is {found}")
        if "vo:unit" in noted and field.unit.to_string() != noted["vo:unit"]:
            sys.exit(f"{field.name}: unit {field.unit}")
        if "pos.eq" in noted.get("vo:ucd", "") and field.ref != "icrs":
            sys.exit(f"{field.name} refers to no frame")
        columns[field.name] = [cell(value, kept.type) for value in table.array[field.name]]
    return columns


def cell(value, field):
    """A value of numpy, where text stands for what has no form of its own."""
    kinds = pyarrow.types
    if value is numpy.ma.masked:
        return None
    if isinstance(value, (bytes, numpy.bytes_)):
        value = value.decode("ascii")
    if kinds.is_list(field) or kinds.is_fixed_size_list(field):
        if isinstance(value, str):
            return typed(json.loads(value), field) if value else None
        return [None if item is numpy.ma.masked else item for item in value]
    if kinds.is_binary(field) or kinds.is_fixed_size_binary(field):
        return bytes(int(item) for item in value)
    if kinds.is_boolean(field) and isinstance(value, str):
        return {"T": True, "F": False}.get(value)
    if isinstance(value, str):
        return typed(value, field) if value or kinds.is_string(field) else None
    return value


def from_fits():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(file, logical_as_bytes=True) as opened:
            opened.verify("exception")
            if opened[1].header["OVERFLOW"] is not False:
                sys.exit("it says that rows are missing")
            table = Table.read(opened, hdu=1)
    columns = {}
    for name in table.colnames:
        columns[name] = [cell(value, wanted.schema.field(name).type) for value in table[name]]
    return columns


def folded(value):
    """What this format cannot tell apart."""
    if kind in ("csv", "tsv", "json", "ndjson", "parquet", "feather", "arrow"):
        if kind in ("json", "ndjson"):
            return infinite(value)
        return value
    if isinstance(value, list):
        value = [folded(item) for item in value]
        # astropy minds the flags of BINARY2 where a cell is a single value.
        return None if all(item is None for item in value) else value
    if kind == "fits" and isinstance(value, str):
        value = json_escaped(value)
    if kind.startswith("votable") and isinstance(value, str):
        bad = "\0" if "/" in kind else "".join(map(chr, (*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF)))
        value = "".join("\ufffd" if character in bad else character for character in value)
    return None if value in ("", "NaN") else value


def infinite(value):
    if isinstance(value, list):
        return [infinite(item) for item in value]
    return None if value == "NaN" else value


def json_escaped(text):
    """Texts in FITS are printable ASCII; what is none is spelled out."""
    return "".join(c if " " <= c <= "~" else json.dumps(c)[1:-1] for c in text)


def trimmed(value):
    """Readers of FITS take blanks at the end of a text for padding."""
    return value.rstrip(" ") if kind == "fits" and isinstance(value, str) else value


readers = {
    "csv": lambda: from_text(","),
    "tsv": lambda: from_text("\t"),
    "json": lambda: from_json(json.load(open(file, encoding="utf-8"), parse_float=exact)),
    "ndjson": lambda: from_json([json.loads(line, parse_float=exact) for line in open(file, encoding="utf-8")]),
    "parquet": lambda: pyarrow.parquet.read_table(file).to_pydict(),
    "feather": lambda: pyarrow.ipc.open_file(file).read_all().to_pydict(),
    "arrow": lambda: pyarrow.ipc.open_stream(file).read_all().to_pydict(),
    "votable": from_votable,
    "votable/b": from_votable,
    "votable/b2": from_votable,
    "fits": from_fits,
}
found = readers[kind]()
if list(found) != wanted.column_names:
    sys.exit(f"{form}: the columns are {list(found)}")
wrong = []
for field in wanted.schema:
    expect = [trimmed(folded(plain(value, field.type))) for value in wanted[field.name].to_pylist()]
    have = [trimmed(folded(plain(value, field.type))) for value in found[field.name]]
    if expect != have:
        wrong.append(f"{form}: {field.name} ({field.type})\n  {have}\n  and not {expect}")
if wrong:
    sys.exit("\n".join(wrong))
print(f"{wanted.num_rows} rows of {wanted.num_columns} columns agree")
