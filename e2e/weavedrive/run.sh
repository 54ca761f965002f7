#!/usr/bin/env bash
# @permaweb/weavedrive under ao-loader and the drive here, on one gateway: results, gas and memory.
# FORMATS=. compares in all three module formats; by default in one.
cd "$(dirname "$0")/../.."
VERBATIM_E2E_REQUIRE=1 go test -count=1 -timeout 15m -run "Reference\$/${FORMATS:-wasm64}" ./cu/drive
