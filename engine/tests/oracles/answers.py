"""Finds the answers of the suites in ../slt without the engine, and checks or writes them.

    python answers.py check|write [suite.slt ...]

The lines above a record say where its answer comes from:

    # postgres                    the query itself, by PostgreSQL with pgsphere and q3c
    # postgres: SELECT ...        another query there that means the same
    # python: expression          astropy, erfa, numpy, mocpy: a value, a row as a tuple, or a list of rows
    #   ...                       continues the line above

Other records were answered by hand, as their comments say, and are left alone. A line `# within 1e-9` gives the real numbers
that are written that tolerance. Needs numpy, astropy, pyerfa, astropy-healpix, mocpy and psycopg, and for the first two kinds
a PostgreSQL at $SLT_POSTGRES with the two extensions created; the tables of ../slt/tables are made there anew, in the schemas
demo and other.
"""

import datetime
import decimal
import glob
import math
import os
import re
import sys
import types
import warnings

import numpy as np
from astropy.io.votable import parse_single_table

HERE = os.path.dirname(os.path.abspath(__file__))
SUITES = os.path.join(HERE, "..", "slt")
sys.path.insert(0, HERE)
warnings.simplefilter("ignore")

POSTGRES_TYPES = {
    "boolean": "boolean", "unsignedByte": "smallint", "short": "smallint", "int": "integer", "long": "bigint",
    "float": "real", "double": "double precision", "char": "text", "unicodeChar": "text",
}


def value(cell):
    """A cell of a VOTable as Python has it."""
    if cell is np.ma.masked:
        return None
    if isinstance(cell, (np.ma.MaskedArray, np.ndarray)) and cell.ndim:
        items = [value(item) for item in cell]
        return None if not items or all(item is None for item in items) else items
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float) and math.isnan(cell):
        return None
    return None if isinstance(cell, str) and cell == "" else cell


def tables():
    """All fixture tables: name -> (fields, rows)."""
    found = {}
    for path in sorted(glob.glob(os.path.join(SUITES, "tables", "*.xml"))):
        table = parse_single_table(path)
        columns = [[value(table.array[name][row]) for row in range(len(table.array))] for name in table.array.dtype.names]
        found[os.path.basename(path)[:-4]] = (table.fields, list(zip(*columns)))
    return found


TABLES = tables()


def rows(name):
    """The rows of demo.NAME as objects with the columns, in small letters, as attributes."""
    fields, data = TABLES[name if "." in name else "demo." + name]
    names = [re.sub(r"\W", "_", field.name.lower()) for field in fields]
    return [types.SimpleNamespace(**dict(zip(names, row))) for row in data]


class Postgres:
    def __init__(self):
        import psycopg

        self.connection = psycopg.connect(os.environ.get("SLT_POSTGRES", "host=127.0.0.1 port=55432 user=postgres"))
        self.connection.autocommit = True
        run = self.connection.execute
        for schema in ("demo", "other"):
            run(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            run(f"CREATE SCHEMA {schema}")
        for name, (fields, data) in TABLES.items():
            columns = []
            for field in fields:
                kind = POSTGRES_TYPES[field.datatype]
                is_list = field.arraysize and not kind == "text"
                kind = "timestamp" if field.xtype == "timestamp" else kind + ("[]" if is_list else "")
                columns.append(f'"{field.name.lower()}" {kind}')
            schema, table = name.split(".")
            run(f'CREATE TABLE {schema}."{table}" ({", ".join(columns)})')
            marks = ", ".join(["%s"] * len(fields))
            for row in data:
                run(f'INSERT INTO {schema}."{table}" VALUES ({marks})', row)

        # The drawn shapes as pgsphere has them, which counts in radians.
        corners = "(SELECT string_agg(format('(%sd,%sd)', shape[2*i-1], shape[2*i]), ',' ORDER BY i) FROM generate_series(1, array_length(shape, 1) / 2) AS i)"
        run("CREATE VIEW demo.sphere_points AS SELECT k, spoint(radians(shape[1]), radians(shape[2])) AS s FROM demo.points")
        run("CREATE VIEW demo.sphere_circles AS SELECT k, scircle(spoint(radians(shape[1]), radians(shape[2])), radians(shape[3])) AS s FROM demo.circles")
        run(f"CREATE VIEW demo.sphere_polygons AS SELECT k, spoly('{{' || {corners} || '}}') AS s FROM demo.polygons")

    def ask(self, text):
        return self.connection.execute(text).fetchall()


def shown(cell):
    """A cell as the suites write it."""
    if isinstance(cell, np.ma.core.MaskedConstant) or cell is None:
        return "NULL"
    if isinstance(cell, (bool, np.bool_)):
        return "true" if cell else "false"
    if isinstance(cell, decimal.Decimal):
        return shown(int(cell)) if cell == cell.to_integral() and cell.as_tuple().exponent >= 0 else shown(float(cell))
    if isinstance(cell, datetime.datetime):
        return cell.isoformat()
    if isinstance(cell, np.ndarray) and cell.ndim == 0:
        cell = cell.item()
    if isinstance(cell, (list, tuple, np.ndarray)):
        return "[" + ", ".join(shown(item) for item in cell) + "]"
    if isinstance(cell, np.float32):
        return repr(float(str(cell)))
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float):
        return "NULL" if math.isnan(cell) else repr(cell)
    return str(cell) if str(cell) else "(empty)"


class Oracle:
    def __init__(self):
        self.postgres = None
        self.names = None

    def python(self, text):
        if self.names is None:
            import sky

            self.names = {key: getattr(sky, key) for key in dir(sky)} | {"rows": rows}
            self.names |= {key: getattr(math, key) for key in dir(math) if not key.startswith("_")}
        answer = eval(text, self.names)
        if not isinstance(answer, list):
            answer = [answer]
        return [row if isinstance(row, tuple) else (row,) for row in answer]

    def answer(self, source, query):
        kind, _, rest = source.partition(":")
        if kind == "postgres":
            self.postgres = self.postgres or Postgres()
            return self.postgres.ask(rest.strip() or query)
        return self.python(rest.strip())


def agree(kind, wanted, found):
    """Whether a written cell is what was found."""
    if kind != "R" or "NULL" in (wanted, found):
        return wanted == found
    split = lambda text: [float(part.split("±")[0]) for part in text.strip("[]").split(",")]
    tolerance = float(wanted.split("±")[1].strip("[],").split(",")[0]) if "±" in wanted else 0
    a, b = split(wanted), split(found)
    return len(a) == len(b) and all(abs(x - y) <= max(1e-12 * abs(x), 1e-14, tolerance) for x, y in zip(a, b))


def suite(path, oracle, write):
    lines, out, wrong, count = open(path).read().split("\n"), [], 0, 0
    place, source = 0, None
    while place < len(lines):
        line = lines[place]
        if match := re.match(r"# ((postgres|python)(:.*)?)$", line):
            source = match.group(1)
        elif line.startswith("#   ") and source:
            source += " " + line[4:].strip()
        elif line.startswith("query ") and source and not line.startswith("query error"):
            kinds = line.split()[1]
            end = place + 1
            while end < len(lines) and lines[end] not in ("", "----"):
                end += 1
            query = "\n".join(lines[place + 1 : end])
            last = end + 1 if end < len(lines) and lines[end] == "----" else end
            first = last
            while last < len(lines) and lines[last] != "":
                last += 1
            try:
                found = [[shown(cell) for cell in row] for row in oracle.answer(source, query)]
            except Exception as error:
                print(f"{path}:{place + 1}: {source}: {error}")
                found, wrong = [], wrong + 1
            if line.endswith("rowsort"):
                found.sort()
            written = [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in lines[first:last]]
            same = len(written) == len(found) and all(
                len(a) == len(b) == len(kinds) and all(agree(*cells) for cells in zip(kinds, a, b))
                for a, b in zip(written, found)
            )
            count += 1
            out += lines[place:end] + ["----"]
            if same:
                out += lines[first:last]
            elif write:
                above = "\n".join(lines[:place]).rpartition("\n\n")[2]
                tolerance = re.search(r"# within (\S+)", above)
                if tolerance:
                    mark = lambda text: re.sub(r"-?[\d.]+(e-?\d+)?", lambda m: m.group() + "±" + tolerance.group(1), text)
                    found = [[mark(c) if k == "R" and c != "NULL" else c for k, c in zip(kinds, row)] for row in found]
                out += ["  ".join(row) for row in found]
            else:
                wrong += 1
                print(f"{path}:{place + 1}: {query}\n  found", *("  ".join(row) for row in found), sep="\n  ")
                out += lines[first:last]
            place, source = last, None
            continue
        elif line == "":
            source = None
        out.append(line)
        place += 1
    if write:
        open(path, "w").write("\n".join(out))
    return count, wrong


def main():
    write = {"check": False, "write": True}[sys.argv[1]]
    paths = sys.argv[2:] or sorted(glob.glob(os.path.join(SUITES, "*.slt")))
    oracle, total, wrong = Oracle(), 0, 0
    for path in paths:
        counts = suite(path, oracle, write)
        total, wrong = total + counts[0], wrong + counts[1]
    print(f"{total} answers, {wrong} wrong")
    sys.exit(wrong > 0)


main()
