"""adbc_flight_sql.py LOCATION QUERY EXPECTED.csv: reads an answer over Flight SQL with the ADBC driver.

Exits 0 if it holds the expected rows, 1 if not.
"""

import sys

import adbc_driver_flightsql.dbapi
import expected

location, query, path = sys.argv[1:]
with adbc_driver_flightsql.dbapi.connect(location, autocommit=True) as connection, connection.cursor() as cursor:
    cursor.execute(query)
    table = cursor.fetch_arrow_table()
if table.column_names != expected.COLUMNS:
    sys.exit(f"columns {table.column_names}")
expected.compare(table.to_pydict(), path)
