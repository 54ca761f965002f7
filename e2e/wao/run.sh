#!/usr/bin/env bash
# The tests that wao has for its units in memory and for its server, with those units and with ours: see README.md.
#
#   WAO=DIR     a checkout of github.com/weavedb/wao
#   TESTS=...   which of test/legacynet (default "main server extension")
#   OURS_ONLY=1 leaves wao's units out
#   KEEP=DIR    keeps what the tests printed and the network in that folder
set -uo pipefail
cd "$(dirname "$0")"
folder=$PWD modules=$PWD/../node_modules
if [ -z "${WAO:-}" ]; then
  echo "skipped: WAO does not name a checkout"
  exit 0
fi
tmp=$(mktemp -d)
dev=
trap '[ -z "$dev" ] || { kill $dev; wait $dev; } 2>/dev/null; rm -rf "$tmp"' EXIT

# What wao publishes on npm, and beside it the tests of its repository.
lay() { # folder
  mkdir "$1" && cp -r "$modules/wao/esm" "$1/src" && cp -r "$WAO/test" "$1/test" && cp "$WAO/package.json" "$1/" && ln -s "$modules" "$1/node_modules" &&
    sed -i -E 's#"[./]*arjson/sdk/src/index.js"#"arjson"#' "$1/src/weavedb.js" # where its author keeps that package
}

# The names and outcomes of all tests, whatever they took.
tests() { # side
  for name in ${TESTS:-main server extension}; do
    (cd "$tmp/$1" && timeout 900 node --experimental-wasm-memory64 $import --test --test-concurrency=1 --test-reporter=tap "test/legacynet/$name.test.js") >"$tmp/$1.$name.tap" 2>&1
    sed -nE 's/^( *)((not )?ok) [0-9]+ - (.*)$/\1\2 \4/p' "$tmp/$1.$name.tap" >"$tmp/$1.$name"
    echo "$name, $1: $(sed -nE 's/^# (tests|pass|fail|skipped) ([0-9]+)$/\2 \1,/p' "$tmp/$1.$name.tap" | tr '\n' ' ')"
  done
}

import=
lay "$tmp/original" || exit 1
[ -n "${OURS_ONLY:-}" ] || tests original

"$folder/../../bin/verbatim" dev --data "$tmp/dev" --gateway-port 0 --mu-port 0 --su-port 0 --cu-port 0 --node-port 0 --json >"$tmp/ready.json" 2>"$tmp/dev.log" &
dev=$!
for _ in $(seq 200); do [ -s "$tmp/ready.json" ] && break; sleep 0.1; done
[ -s "$tmp/ready.json" ] || { cat "$tmp/dev.log"; exit 1; }
field() { node -p "JSON.parse(require('fs').readFileSync('$tmp/ready.json')).$1"; }
export GATEWAY_URL=$(field gateway) MU_URL=$(field mu) SU_URL=$(field su) CU_URL=$(field cu) DUMP=$folder/dump.mjs
export MODULES=$(node publish.mjs "$modules/wao/esm/lua")
[ -n "$MODULES" ] || { tail -n 20 "$tmp/dev.log"; exit 1; }
lay "$tmp/ours" && cp standins/*.js "$tmp/ours/src/" || exit 1
# wao gives its modules, its scheduler and its messenger ids of its own choice; on a network they have the ids that they have.
id() { node -p "JSON.parse(process.env.MODULES).$1"; }
ids=(
  -e "s/ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s/$(id aos2_0_6)/g" -e "s/WASM32-D8q2OmZ4Mok00sD2Y_6SYEQ7Hjx-6VZ_jl3g/$(id aos2_0_4_32)/g"
  -e "s/JArYBF-D8q2OmZ4Mok00sD2Y_6SYEQ7Hjx-6VZ_jl3g/$(id aos2_0_3)/g" -e "s/Do_Uc2Sju_ffp6Ev0AnLVdPtot15rvMjP-a9VVaA5fM/$(id aos2_0_1)/g"
  -e "s/ghSkge2sIUD_F00ym5sEimC63BDBuBrq4b5OcwxOjiw/$(id sqlite)/g" -e "s/_GQ33BkPtZrqxA84vM8Zk-N2aO0toNNu_C-l-rawrBA/$(field scheduler)/g"
  -e "s/eNaLJLsMiWCSWvQKNbk_YT-9ydeWl9lrWwXxLVp9kcg/$(field authority)/g"
  -e "s|http://localhost:4003|$SU_URL|g" # a test registers this scheduler, which a compute unit then asks for itself
)
find "$tmp/ours/src" "$tmp/ours/test" -maxdepth 2 -name '*.js' -exec sed -i "${ids[@]}" {} +
import="--import $folder/units.mjs"
tests ours

status=0
for name in ${TESTS:-main server extension}; do
  [ -n "${OURS_ONLY:-}" ] || diff "$tmp/original.$name" "$tmp/ours.$name" || status=1
done
[ -z "${KEEP:-}" ] || cp -r "$tmp" "$KEEP"
[ $status = 0 ] || echo "the tests above differ (< wao's units, > ours): see README.md"
