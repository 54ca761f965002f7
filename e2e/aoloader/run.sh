#!/usr/bin/env bash
# The same messages through @permaweb/ao-loader on Node and through our host: equal results, equal memory.
set -euo pipefail
cd "$(dirname "$0")/../.."
VERBATIM_E2E_REQUIRE=1 go test -count=1 -run 'TestAgainstAoLoader|TestAos' -v ./wasmhost | grep -E '^(---|ok|FAIL| +---)|of [0-9]+ messages|TestAos'
