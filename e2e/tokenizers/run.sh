#!/usr/bin/env bash
# Tokens from two JavaScript tokenizers and from `verbatim tokenize`, on the Llama 3 and Llama 2 vocabularies.
set -euo pipefail
cd "$(dirname "$0")"
node compare.mjs
