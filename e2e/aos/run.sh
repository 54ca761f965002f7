#!/usr/bin/env bash
# The aos command line in a pseudo-terminal against `verbatim dev`, in legacy mode and in mainnet mode. See README.md.
#
#   AOS=DIR   a checkout of permaweb/aos; its dependencies are installed in a copy
set -euo pipefail
cd "$(dirname "$0")"
: "${AOS:?must name a checkout of permaweb/aos}"
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for part in bin src blueprints process package.json; do cp -r "$AOS/$part" "$copy"; done
if [ package-lock.json -nt node_modules/.package-lock.json ]; then npm ci --no-audit --no-fund --loglevel=error; fi
ln -s "$PWD/node_modules" "$copy/node_modules"
VERBATIM_BINARY=$(realpath "${VERBATIM:-../../bin/verbatim}") AOS=$copy go test -tags e2e -count=1 -v .
