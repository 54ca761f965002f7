#!/usr/bin/env bash
# The unmodified arweave.js and arbundles against the gateway of `verbatim dev`.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(mktemp -d)
"${VERBATIM:-../bin/verbatim}" dev --data "$data" --gateway-port 0 --mu-port 0 --su-port 0 --cu-port 0 --node-port 0 --json >"$data/ready.json" 2>"$data/dev.log" &
dev=$!
trap 'kill $dev 2>/dev/null || true; wait $dev 2>/dev/null || true; rm -rf "$data"' EXIT
for _ in $(seq 100); do [ -s "$data/ready.json" ] && break; sleep 0.1; done
[ -s "$data/ready.json" ] || { cat "$data/dev.log"; exit 1; }
GATEWAY_URL=$(node -p "JSON.parse(require('fs').readFileSync('$data/ready.json')).gateway") node arweave/run.mjs || { cat "$data/dev.log"; exit 1; }
