#!/usr/bin/env bash
# Assembles every text of ptx/ as a card's driver would and prints, as a table, what each kernel needs: registers, stack and
# spills, shared memory, and how many warps of a multiprocessor it can fill. Fails if a kernel does not assemble, or spills on sm_90;
# older levels are told, where a few bytes of the less frequent kernels stay.
#
#   kernels/cuda/ptxas.sh [sm_70 sm_80 sm_90]
#
# PTXAS names the assembler; else it is ptxas of the PATH; else Debian's nvidia-cuda-toolkit (trixie, non-free, 87 MB) is fetched
# to a temporary folder and unpacked there without installing it. Dynamic shared memory is the launch's choice and not counted.
set -euo pipefail
cd "$(dirname "$0")"
architectures=("$@")
[ ${#architectures[@]} -gt 0 ] || architectures=(sm_70 sm_80 sm_90)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() {
  local apt=(-o Dir::Etc::SourceList="$work/list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists"
    -o Dir::Cache="$work/cache" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root)
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie non-free" >"$work/list"
  (cd "$work" && apt-get "${apt[@]}" update && apt-get "${apt[@]}" download nvidia-cuda-toolkit && dpkg -x nvidia-cuda-toolkit_*.deb toolkit) >&2
  PTXAS=$work/toolkit/usr/bin/ptxas
}

[ -n "${PTXAS:-}" ] || PTXAS=$(command -v ptxas) || fetch
echo "$("$PTXAS" --version | tail -2 | head -1). Warps: how many of 64 fit by registers, static shared memory and threads."
echo
echo "| kernel | card | threads | registers | stack | spilled | shared | warps |"
echo "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"

# text of an operator for a card: the newest that is not newer than it.
text() {
  if [ "$2" != sm_70 ] && [ -e "ptx/sm_80/$1" ]; then echo "ptx/sm_80/$1"; else echo "ptx/sm_70/$1"; fi
}

assemble() { # operator, card
  local ptx log
  ptx=$(text "$1" "$2")
  log="$work/$1.$2.log"
  "$PTXAS" -v -arch="$2" -o /dev/null "$ptx" >"$log" 2>&1 || { echo "$ptx for $2:" >&2; cat "$log" >&2; return 1; }
  # threads of each kernel, from the text; then what the assembler says.
  awk -v card="$2" '
    FNR == NR { if (match($0, /\.entry [A-Za-z0-9_]+/)) name = substr($0, RSTART + 7, RLENGTH - 7)
                if (match($0, /\.maxntid [0-9]+/)) threads[name] = substr($0, RSTART + 9, RLENGTH - 9)
                next }
    /Compiling entry function/ { split($0, part, "\047"); name = part[2]; stack = spill = shared = 0 }
    /bytes stack frame/ { stack = $1; spill = $5 + $9 }
    /Used [0-9]+ registers/ {
      match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
      if (match($0, /[0-9]+ bytes smem/)) shared = substr($0, RSTART, RLENGTH - 11)
      n = threads[name] ? threads[name] : 1024
      most = card == "sm_70" ? 98304 : card == "sm_80" ? 167936 : 233472
      warps = int((n + 31) / 32)
      blocks = int(64 / warps)
      byRegisters = int(int(65536 / (int((registers * 32 + 255) / 256) * 256)) / warps)
      byShared = int(most / (shared + (card == "sm_70" ? 0 : 1024)))
      if (byRegisters < blocks) blocks = byRegisters
      if (shared > 0 && byShared < blocks) blocks = byShared
      if (blocks > 32) blocks = 32
      printf "| %s | %s | %d | %d | %d | %d | %d | %d |\n", name, card, n, registers, stack, spill, shared, blocks * warps
    }' "$ptx" "$log"
}

for card in "${architectures[@]}"; do
  for operator in $(cd ptx && ls sm_70/*.ptx sm_80/*.ptx | sed 's|.*/||' | sort -u); do
    assemble "$operator" "$card"
  done
done | tee "$work/table"
awk -F'|' '$6 > 0 || $7 > 0 { print "spills:" $2 $3; if ($3 ~ /sm_90/) bad = 1 } END { exit bad }' "$work/table" >&2
