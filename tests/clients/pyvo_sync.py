"""pyvo_sync.py TAP_URL QUERY EXPECTED.csv: reads a synchronous TAP answer with pyvo.

Exits 0 if it holds the expected rows, 1 if not.
"""

import sys

import expected
import pyvo

url, query, path = sys.argv[1:]
answer = pyvo.dal.TAPService(url).run_sync(query, language="ADQL")
if list(answer.fieldnames) != expected.COLUMNS:
    sys.exit(f"columns {answer.fieldnames}")
if answer.query_status != "OK":
    sys.exit(f"query status {answer.query_status}")
expected.compare(answer.to_table(), path)
