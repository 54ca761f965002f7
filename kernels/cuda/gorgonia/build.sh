#!/bin/sh
# Runs a go command for this module with the tag gorgonia_cu: kernels/cuda/gorgonia/build.sh build ./cmd/verbatim
# The tests of the backend run on it like this, with the path that "go test -v -run TestBuffers ./kernels/cuda" prints:
#   VERBATIM_CUDA_LIBRARY=PATH kernels/cuda/gorgonia/build.sh test ./kernels/cuda
# Needed: a C compiler, and in CUDA_INCLUDE the folder with cuda.h of CUDA 11.8 to 12 (default /usr/local/cuda/include).
# The module gorgonia.org/cu stands in a copy of go.mod, so that nothing else of this repository depends on it.
set -eu
include=${CUDA_INCLUDE:-/usr/local/cuda/include}
test -f "$include/cuda.h" || { echo "no cuda.h in $include: set CUDA_INCLUDE" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=${TMPDIR:-/tmp}/verbatim-gorgonia
mkdir -p "$work"

cp "$root/go.mod" "$work/go.mod"
cp "$root/go.sum" "$work/go.sum"
cd "$root"
go mod edit -require=gorgonia.org/cu@v0.9.6 -require=github.com/google/uuid@v1.6.0 -require=github.com/pkg/errors@v0.9.1 "$work/go.mod"
cu=$(go mod download -json gorgonia.org/cu@v0.9.6 | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')

# cuda.h renames many functions (cuMemAlloc to cuMemAlloc_v2): the preprocessor says what the linker will ask for.
{
  echo '#include <cuda.h>'
  cat "$cu"/*.go "$cu"/*.c "$cu"/*.h | grep -oE '\bcu[A-Z][A-Za-z0-9]*' | sort -u | sed 's/.*/FUNCTION_NAME &/'
} | ${CC:-cc} -E -P -I"$include" -x c - | sed -n 's/^FUNCTION_NAME \(cu[A-Z][A-Za-z0-9_]*\)$/\1/p' | sort -u > "$work/named"
echo '#include <cuda.h>' | ${CC:-cc} -E -P -I"$include" -x c - | grep -oE 'cu[A-Z][A-Za-z0-9_]* *\(' | tr -d ' (' | sort -u > "$work/declared"
comm -12 "$work/named" "$work/declared" | sed 's/.*/FUNCTION(&)/' > "$work/functions.h"
${CC:-cc} -O2 -fPIC -Wall -I"$work" -c "$here/shim.c" -o "$work/shim.o"
rm -f "$work/libcuda.a"
ar rcs "$work/libcuda.a" "$work/shim.o"

command=$1
shift
CGO_ENABLED=1 CGO_CFLAGS="-I$include" CGO_LDFLAGS="-L$work -ldl" \
  go "$command" -mod=mod -modfile="$work/go.mod" -tags gorgonia_cu "$@"
