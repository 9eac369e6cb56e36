#!/usr/bin/env bash
# xmllint_votable.sh FILE: checks a VOTable 1.4 document against the official schema with libxml2.
# Exits 0 if it is valid, 1 if not.
set -euo pipefail
"${ALMAGEST_TEST_XMLLINT:-xmllint}" --nonet --noout --schema "$(dirname "$0")/xsd/VOTable-v1.4.xsd" "$1" || exit 1
