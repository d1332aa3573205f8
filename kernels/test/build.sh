#!/bin/sh
# Builds attend_test: build.sh OUT [nvcc options]. Knobs: NVCC, ARCHS.
set -e
out=$1
shift
here=$(dirname "$0")/..
: "${NVCC:=/usr/local/cuda/bin/nvcc}" "${ARCHS:=-gencode arch=compute_90a,code=sm_90a -gencode arch=compute_80,code=sm_80}"
mkdir -p "$(dirname "$out")"
# shellcheck disable=SC2086 # ARCHS is a list of words
"$NVCC" -std=c++17 -O3 $ARCHS -Xcompiler -fno-exceptions,-fno-rtti -I "$here/../lib" -cudart static -o "$out" \
	"$here"/attend.cu "$here"/attend_wgmma.cu "$here"/attend_wgmma_mass.cu "$here"/attend_mma.cu "$here"/attend_mma64.cu "$here"/attend_mma64_mass.cu "$here"/attend_plain.cu \
	"$here"/test/attend_test.cu "$@"
