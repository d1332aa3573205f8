#!/usr/bin/env bats
# make gpu and make gpu-kit, without a GPU: what the parts' driver does when parts are cut off, left out and taken up again, with stand-ins
# for the parts; and a kit of stand-ins for the programs, from which a module or a library is taken.
load common

python=/usr/bin/python3

# e3-infer answers as on a machine with a GPU; every part is a script of the test's own, which adds its name to the file `ran`.
tree() {
	cd "$T" || return
	mkdir -p tests/gpu build/bin build/lib/e3
	cp "$ROOT"/tests/gpu/{all,table}.py tests/gpu/
	printf '#!/bin/sh\n' >build/bin/e3-infer
	printf '#!/bin/sh\necho NVIDIA H200, 580.1, 143771\n' >build/bin/nvidia-smi
	echo 1 >build/lib/e3/libe3-cuda.so
	printf '#!/bin/sh\necho "$GPU_PART" >>ran\n' | tee tests/gpu/{ops,bench,memory,sanitize,parity}.sh >/dev/null
	echo 'import os; print(os.environ["GPU_PART"], file=open("ran", "a"))' >tests/gpu/long.py
	chmod +x build/bin/* tests/gpu/*
	unset LIMIT PARTS RESULTS OLD E3_SHARED
	export B=build PYTHON=$python
}
gpu() { "$python" -B tests/gpu/all.py "$@" >said; }
not_ok() { # it ends with the table, and exit 1
	! gpu "$@" || return 1
	grep -q ' not ok, ' said
}
add() { echo "$python -B tests/gpu/table.py $*" >>"tests/gpu/$part"; }

@test "make gpu: a part that broke off goes on with the rows it does not have; what is done is not done again" {
	tree
	part=bench.sh
	add 'done one || '"$python"' -B tests/gpu/table.py add one first'
	echo '[ -e second ] || { touch second; echo "the device is gone"; exit 3; }' >>tests/gpu/bench.sh
	add 'add two later'
	not_ok ops speed
	grep -qE '^speed +one +first$' build/gpu-results/table
	grep -qE '^ +all of it +broke off after [0-9]+ s +the device is gone .*NOT OK' build/gpu-results/table
	sed -i 's/add one first/add one again/' tests/gpu/bench.sh
	gpu --missing ops speed
	[ "$(paste -sd' ' ran)" = "ops speed speed" ]
	grep -qE '^speed +one +first$' build/gpu-results/table
	grep -qE '^ +two +later$' build/gpu-results/table
	grep -q ' 0 not ok, 0 left out' build/gpu-results/table
	# of another build: refused
	echo 2 >build/lib/e3/libe3-cuda.so
	fails 1 'is of another build' -- gpu --missing
	fails 1 "no part 'nonsense'" -- gpu nonsense
	LIMIT=soon fails 1 "LIMIT: expected seconds, got 'soon'" -- gpu
}

@test "make gpu: a row that is not ok fails it and is not measured again; a part in its way ends all the same" {
	tree
	part=memory.sh
	add 'add promise broken "" bad; exit 1'
	not_ok memory flat
	grep -qE '^memory +promise +broken +NOT OK' build/gpu-results/table
	not_ok --missing memory flat
	[ "$(paste -sd' ' ran)" = "memory flat" ]
}

@test "make gpu: LIMIT leaves out what does not fit, stops what takes longer with all it started, and says so" {
	tree
	LIMIT=1 gpu flat memory
	[ ! -e ran ]
	[ "$(grep -cE 'all of it +left out +LIMIT=1 leaves .*--missing goes on' build/gpu-results/table)" = 2 ]
	echo 'sleep 987 & echo $! >pid; wait' >>tests/gpu/bench.sh
	LIMIT=6 gpu speed
	grep -qE '^speed +all of it +stopped after [0-9]+ s +LIMIT=6; --missing goes on' build/gpu-results/table
	wait_until 5 gone "$(cat pid)"
}

@test "make gpu-kit: a module or a library that is missing stops it; without a GPU run says so for each part" {
	cd "$T"
	mkdir -p b/kit/bin b/bin b/lib/e3 b/tests/gpu
	printf '#include <stdio.h>\nint zmq_errno(void);\nint main(void)\n{\n\tfputs("no CUDA device\\n", stderr);\n\treturn 1 + 0 * zmq_errno();\n}\n' >main.c
	rpath="-Wl,--disable-new-dtags,-rpath,\$ORIGIN/../lib:\$ORIGIN/../../lib"
	cc "$rpath" -o b/kit/bin/e3-infer main.c -lzmq
	cp b/kit/bin/e3-infer b/kit/bin/e3-model
	cp b/kit/bin/e3-infer b/tests/gpu/bench
	cp b/kit/bin/e3-infer b/tests/gpu/test_gpu_ops
	echo 'int e3_cuda;' | cc -shared -x c -o b/lib/e3/libe3-cuda.so -
	ln -s "$B/bin/e3-decode" b/bin/
	kit() { B=$T/b GOLDEN=0 "$python" -B "$ROOT/tests/gpu/kit.py" "$@"; }
	kit fill "$T/kit"
	rc=0
	PYTHON=$python kit/run flat ops >said 2>&1 || rc=$?
	[ "$rc" = 1 ]
	[ "$(grep -cE 'all of it +no GPU: begun, ended after [0-9]+ s +no CUDA device' kit/results/table)" = 2 ]
	mv kit/tests/oracle kit/tests/elsewhere
	mv kit/build/lib/libzmq.so.5 .
	mv kit/py/msgpack .
	fails 1 'tests/bench/torch_peer.py imports streamvggt, which is not in it' -- kit check "$T/kit"
	grep -q 'tests/e3raw.py imports msgpack, which is not in it' stderr
	grep -q 'build/bin/e3-infer needs libzmq.so.5, which it does not find in the kit' stderr
}
