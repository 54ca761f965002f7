#!/usr/bin/env bash
# The NEON kernels under qemu-user: the conformance cases that are quick there (determinism.sh runs a whole model), and a
# processor without dot products, which has no such level.
set -euo pipefail
cd "$(dirname "$0")/../kernels/cpu"
command -v qemu-aarch64-static >/dev/null || { echo "skipped: qemu-aarch64-static is not installed"; exit 0; }
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
GOARCH=arm64 CGO_ENABLED=0 go test -c -o "$out/test" .

run() { # processor, tests, log
  qemu-aarch64-static -cpu "$1" "$out/test" -test.short -test.v -test.run "$2" \
    -test.skip 'TestConformance/neon/model|TestConformance/neon/attention-window/.*/.*/rows[0-9][0-9]' >"$3" 2>&1 ||
    { grep -v -e '^=== ' -e '--- PASS' "$3"; exit 1; }
}
run max 'TestConformance/neon|TestGroups/neon|TestPackedBytes/neon|TestCache$/neon' "$out/max"
cases=$(grep -c -- '--- PASS: TestConformance/neon,_2_threads/' "$out/max" || true)
[ "$cases" -gt 500 ] || { echo "only $cases cases ran on level neon"; exit 1; }
run cortex-a72 'TestConformance/neon$|TestUnknownLevel' "$out/a72"
grep -q 'has no neon; it has \[generic\]' "$out/a72" || { cat "$out/a72"; echo "a processor without dot products should have level generic only"; exit 1; }
echo "$cases conformance cases on level neon; none without dot products"
