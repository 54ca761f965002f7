#!/usr/bin/env bash
# Twenty lives of a compute unit, each ended by SIGKILL in the middle of evaluations.
set -euo pipefail
cd "$(dirname "$0")/.."
VERBATIM_BINARY=$PWD/bin/verbatim go test -tags e2e -count=1 -v ./e2e/crash
