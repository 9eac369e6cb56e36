#!/usr/bin/env bash
# stilts_answers.sh TABLE…: reads VOTables and FITS files of one answer with STILTS, which must find the same in all of
# them, and no fault in the VOTables. Exits 0 if so.
set -euo pipefail

stilts=${ALMAGEST_TEST_STILTS:-stilts}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Free text is spelled in another way in FITS, which has ASCII, and NUL ends none there.
for table in "$@"; do
    name=$(basename "$table")
    if [[ $table == *.vot ]]; then
        "$stilts" votlint votable="$table" >"$work/$name.lint" 2>&1 || true
        # It knows no xtype of DALI 1.2, and forbids the empty cell that TABLEDATA has for a missing array.
        known='xtype value "json"|Bad (double|float) string'
        if grep -E '^(ERROR|WARNING)' "$work/$name.lint" | grep -vE "$known" >&2; then exit 1; fi
    fi
    "$stilts" tpipe in="$table" cmd='delcols "name words"' ofmt=csv out="$work/$name.csv"
    # An array of fixed length has no other form for a missing one than elements that are none, but in TABLEDATA.
    sed -i 's/"(NaN, NaN)"//' "$work/$name.csv"
    ucd=$("$stilts" tpipe in="$table" cmd='meta name ucd' cmd='select "equals(name,\"ra\")"' ofmt=csv-noheader)
    [[ $ucd == ra,pos.eq.ra\;meta.main ]] || { echo "$name says of ra: $ucd" >&2; exit 1; }
done
first=$(basename "$1")
for table in "$@"; do
    diff "$work/$first.csv" "$work/$(basename "$table").csv" >&2 || { echo "$table differs from $first" >&2; exit 1; }
done
echo "$# tables agree, of $(($(wc -l <"$work/$first.csv") - 1)) rows"
