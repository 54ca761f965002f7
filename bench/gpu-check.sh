#!/usr/bin/env bash
# Checks and measures the cards of a machine that has nothing but an NVIDIA driver: check.sh [FOLDER] writes its results into
# FOLDER (default: results beside it). `make gpu-kit` puts it into bin/gpu-kit with all that it needs.
#
#   conformance   every operator on the card against the reference, bit for bit
#   determinism   the same prompts on the processor and on the card: one digest each; also with the models *.gguf beside this file
#   bench         speed, as shares of the card's limits
#
# VERBATIM_CUDA_LIBRARY names another libcuda.so.1; BENCH="arguments" replaces those of the benchmark.
set -uo pipefail
kit=$(cd "$(dirname "$0")" && pwd)
out=${1:-$kit/results}
mkdir -p "$out"
failed=0
# Where the driver keeps the kernels that it compiled for the card.
export CUDA_CACHE_PATH=${CUDA_CACHE_PATH:-$out/compiled}

# step NAME COMMAND...: output on the terminal and in NAME.txt.
step() {
  local name=$1 begin=$SECONDS
  shift
  echo "== $name"
  if "$@" 2>&1 | tee "$out/$name.txt"; then
    echo "== $name: done in $((SECONDS - begin)) s"
  else
    echo "== $name: FAILED after $((SECONDS - begin)) s"
    failed=1
  fi
}

command -v nvidia-smi >/dev/null && step card nvidia-smi
grep -m1 'model name' /proc/cpuinfo | tee "$out/processor.txt"
step conformance env VERBATIM_CUDA_LIBRARY="${VERBATIM_CUDA_LIBRARY:-libcuda.so.1}" "$kit/conformance" -test.run '^TestCard' -test.timeout 6m
step determinism "$kit/verbatim" bench determinism --devices cpu,cuda --prompts 20 --plain 2 --threads 8
for model in "$kit"/*.gguf; do
  [ -e "$model" ] || continue
  step "determinism-$(basename "$model" .gguf)" "$kit/verbatim" bench determinism --model "$model" --devices cpu,cuda --prompts 20 --plain 1 --threads 8
done
# shellcheck disable=SC2086
step bench "$kit/verbatim" bench gpu --record "$out/gpu" ${BENCH:-}
[ -n "${BENCH:-}" ] || step bench-dependent "$kit/verbatim" bench gpu --dependent --shapes llama-8b --types Q8_0 --batches 1 --contexts 512 --record "$out/gpu-dependent"
[ $failed = 0 ] && echo "== all done in $SECONDS s: $out" || echo "== FAILED; see $out"
exit $failed
