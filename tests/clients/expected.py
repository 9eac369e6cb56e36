"""The right rows, as the caller of a client wrote them down, and the comparison of an answer with them."""

import csv
import sys

import numpy

COLUMNS = ["source_id", "ra", "dec", "phot_g_mean_mag"]


def read(path):
    """The rows of the file, as a sorted list of tuples."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if rows[0] != COLUMNS:
        sys.exit(f"{path} has columns {rows[0]}")
    return sorted((int(row[0]), float(row[1]), float(row[2]), numpy.float32(row[3])) for row in rows[1:])


def compare(table, path):
    """Exits 1 unless `table`, a mapping of column names to sequences, holds the rows of the file, to the last bit."""
    expected = read(path)
    source_id, ra, dec, mag = ([*table[name]] for name in COLUMNS)
    found = sorted((int(i), float(r), float(d), numpy.float32(m)) for i, r, d, m in zip(source_id, ra, dec, mag, strict=True))
    if found != expected:
        missing = sorted(set(expected) - set(found))
        surplus = sorted(set(found) - set(expected))
        sys.exit(f"{len(found)} rows, not {len(expected)}; missing {missing[:3]}, surplus {surplus[:3]}")
    print(f"{len(found)} rows agree")
