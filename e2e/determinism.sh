#!/usr/bin/env bash
# The same prompt, seed and parameters through every build and setting: one transcript digest (which commits to the bits
# of the hidden states, not just to the tokens).
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
export CGO_ENABLED=0
GOAMD64=v1 go build -o "$out/v1" ./cmd/verbatim
GOAMD64=v3 go build -o "$out/v3" ./cmd/verbatim
GOARCH=arm64 go build -o "$out/arm64" ./cmd/verbatim

args=(--model embedded --max-tokens 48 --temperature 0.8 --seed 7 --json
  --prompt "Once upon a time there was a small fox who lived near the river. One morning the fox found a red kite in the grass and did not know whose kite it was. The fox asked the owl, and the owl asked the bear, but nobody knew.")
declare -A digests
record() { # label, command...
  local label=$1; shift
  local digest
  digest=$("$@" run "${args[@]}" "${extra[@]}" | sed -n 's/.*"digest": *"\([0-9a-f]*\)".*/\1/p' | head -1)
  [ -n "$digest" ] || { echo "$label: no digest"; exit 1; }
  printf '%s  %s\n' "$digest" "$label"
  digests[$digest]=1
}
levels=$("$out/v1" info --json | sed -n 's/.*"cpu_levels": *\[\([^]]*\)\].*/\1/p' | tr -d '", ' | tr , ' ')
[ -n "$levels" ] || levels=$("$out/v1" info --json | tr -d '\n ' | sed -n 's/.*"cpu_levels":\[\([^]]*\)\].*/\1/p' | tr -d '"' | tr , ' ')
for level in $levels; do
  for threads in 1 2; do
    extra=(--threads $threads); VERBATIM_CPU=$level record "amd64 v1, $level, $threads threads" "$out/v1"
  done
done
for chunk in 1 7 64; do extra=(--prefill-chunk $chunk); record "prefill in chunks of $chunk" "$out/v1"; done
extra=(); VERBATIM_CPU=generic record "amd64 v3, generic" "$out/v3"; record "amd64 v3, best level" "$out/v3"
# Programs for Linux load the C library, to find a graphics card's driver: that of arm64 is in Debian's libc6-arm64-cross.
export QEMU_LD_PREFIX=${QEMU_LD_PREFIX:-/usr/aarch64-linux-gnu}
if [ -e "$QEMU_LD_PREFIX/lib/ld-linux-aarch64.so.1" ]; then
  for level in generic neon; do
    VERBATIM_CPU=$level record "arm64 under qemu-user, $level" qemu-aarch64-static -cpu max "$out/arm64"
  done
  record "arm64 under qemu-user, without dot products" qemu-aarch64-static -cpu cortex-a72 "$out/arm64"
else
  echo "skipped arm64: no C library for it in $QEMU_LD_PREFIX (package libc6-arm64-cross)"
  [ "${VERBATIM_E2E_REQUIRE:-0}" != 1 ]
fi
[ ${#digests[@]} = 1 ] || { echo "${#digests[@]} different digests"; exit 1; }
