#!/usr/bin/env bash
# What a user can get wrong, and what the programs say to it.
set -euo pipefail
cd "$(dirname "$0")/.."
VERBATIM_BINARY=$PWD/bin/verbatim go test -tags e2e -count=1 -v ./e2e/badinput
