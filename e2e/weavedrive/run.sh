#!/usr/bin/env bash
# @permaweb/weavedrive under ao-loader and the drive here, on one gateway: results and memory.
cd "$(dirname "$0")/../.."
VERBATIM_E2E_REQUIRE=1 go test -count=1 -timeout 15m -run 'Reference$' ./cu/drive
