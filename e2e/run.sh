#!/usr/bin/env bash
# End-to-end checks: other people's software, other processors and hard crashes against our binary.
# A check whose tools are missing is reported as skipped; with VERBATIM_E2E_REQUIRE=1 it fails.
set -uo pipefail
cd "$(dirname "$0")"
passed=0 failed=0 skipped=0

check() { # name, tools..., -- command
  local name=$1; shift
  while [ "$1" != -- ]; do
    if ! command -v "$1" >/dev/null; then
      echo "--- SKIP $name: $1 is not installed"; skipped=$((skipped + 1)); return
    fi
    shift
  done
  shift
  local begin=$SECONDS
  if "$@"; then
    echo "--- PASS $name ($((SECONDS - begin)) s)"; passed=$((passed + 1))
  else
    echo "--- FAIL $name ($((SECONDS - begin)) s)"; failed=$((failed + 1))
  fi
}

if command -v npm >/dev/null && [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "installing the npm packages of e2e/package.json"
  npm ci --no-audit --no-fund --loglevel=error || exit 1
fi
check "one digest on every level, thread count, chunking and processor" qemu-aarch64-static -- ./determinism.sh
check "the NEON kernels have the bits of the reference" qemu-aarch64-static -- ./neon.sh
check "clear errors for bad input, and the daemon stays up" curl -- ./badinput.sh
check "kill -9 in the middle of evaluations" curl -- ./crash.sh
check "a day of messages, kill -9 and a failing network: as undisturbed" go -- ./soak/run.sh
check "tokens of the Llama 2 and 3 vocabularies as in two JavaScript tokenizers" node -- ./tokenizers/run.sh
check "ao-loader on Node gives the same results and memory" node -- ./aoloader/run.sh
check "one memory on every processor" qemu-aarch64-static node -- ./memory.sh
check "weavedrive under ao-loader leaves the same results and memory" node -- ./weavedrive/run.sh
check "arweave.js posts transactions and chunks, and reads them back" node -- ./arweave/run.sh
check "aoconnect, every call of its legacy and mainnet modes" node -- ./aoconnect/run.sh
if [ -n "${AOS:-}" ]; then
  check "the aos command line spawns and evaluates" node -- ./aos/run.sh
else
  echo "--- not run: the aos command line (AOS names no checkout of permaweb/aos: e2e/aos/README.md)"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && { [ "$skipped" = 0 ] || [ "${VERBATIM_E2E_REQUIRE:-0}" != 1 ]; }
