#!/bin/bash
# In the kit of make gpu-kit, as `run`: tests/gpu/all.py with the kit's own programs, libraries and modules. run [--missing] [PART...];
# run -- COMMAND...: a command of your own. README says what the machine has to have.
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
for python in ${PYTHON:-python3 /usr/bin/python3}; do # the first that has numpy: PyTorch's is often first on PATH
	! "$python" -c 'import numpy' 2>/dev/null || break
done
PYTHON=$(command -v "$python") || { echo "run: needs python3" >&2; exit 1; }
export PYTHON
export B=$here/build PATH=$here/build/bin:$PATH E3_SHARED=$here/shared PYTHONPATH=$here/py${PYTHONPATH:+:$PYTHONPATH}
RESULTS=$(realpath -m "${RESULTS:-$here/results}")
export RESULTS
[ -z "${OLD:-}" ] || { OLD=$(realpath -m "$OLD") && export OLD; }
[ ! -e "$E3_SHARED/photographs.e3" ] || export PHOTOGRAPHS=$E3_SHARED/photographs.e3

# The one library of the toolkit: where the loader does not look, it is linked to beside ours.
cublas=$(sed -n 's/.*\(libcublasLt\.so\.[0-9]*\).*/\1/p' "$here/README" | head -1)
if [ ! -e "$B/lib/$cublas" ] && ! PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -qF "$cublas"; then
	for lib in "${CUDA_HOME:-/usr/local/cuda}/lib64/$cublas" \
		$("$PYTHON" -c 'import glob, sys; print(*(f for p in sys.path for f in glob.glob(p + "/nvidia/*/lib/" + sys.argv[1])))' "$cublas"); do
		[ ! -e "$lib" ] || { ln -sf "$lib" "$B/lib/$cublas" && break; }
	done
fi

[ "${1:-}" != -- ] || { shift && exec "$@"; }
exec "$PYTHON" -B "$here/tests/gpu/all.py" "$@"
