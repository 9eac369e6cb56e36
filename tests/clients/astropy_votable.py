"""astropy_votable.py FILE EXPECTED.csv: reads a VOTable with astropy, which is told to forgive nothing.

Exits 0 if it holds the expected rows, 1 if not.
"""

import sys
import warnings

import expected
from astropy.io.votable import parse

document, path = sys.argv[1:]
warnings.simplefilter("error")
table = parse(document, verify="exception").get_first_table()
names = [field.name for field in table.fields]
if names != expected.COLUMNS:
    sys.exit(f"columns {names}")
expected.compare(table.array, path)
