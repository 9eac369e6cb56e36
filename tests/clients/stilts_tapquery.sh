#!/usr/bin/env bash
# stilts_tapquery.sh TAP_URL QUERY EXPECTED.csv: reads a synchronous TAP answer with STILTS.
# Exits 0 if it holds the expected identifiers, each once, and 1 if not. Positions and magnitudes are compared by the
# Python clients; STILTS writes numbers in its own way.
set -euo pipefail

tap=$1 query=$2 expected=$3

identifiers() { tail -n +2 "$1" | cut -d, -f1 | sort; }

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
"${ALMAGEST_TEST_STILTS:-stilts}" tapquery tapurl="$tap" adql="$query" sync=true ofmt=csv out="$answer" || exit 1
[[ $(head -n 1 "$answer") == source_id,ra,dec,phot_g_mean_mag ]] || { echo "columns: $(head -n 1 "$answer")" >&2; exit 1; }
diff <(identifiers "$expected") <(identifiers "$answer") >&2 || exit 1
echo "$(($(wc -l <"$answer") - 1)) identifiers agree"
