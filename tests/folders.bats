load common
# Folders of outputs: made when they are missing, by every tool and for every output; gone again when a run fails.

prepare() {
	cd "$T" || return 1
	export TMPDIR=$T
}
# there FILE...: each is a file that is not empty.
there() {
	for f in "$@"; do [ -s "$f" ] || { echo "missing: $f"; return 1; }; done
}
# The tools that read predictions, with every output in folders that are missing below $1; the stream is $2.
everything() {
	local n=$1 in=$2
	each e3-export --glb $n/a/b/x.glb --ply $n/c/x.ply --tum $n/d/t --kitti $n/d/k --intrinsics-txt $n/e/i --npz $n/f/x.npz \
		--depth $n/g/h --depth-color $n/g/i --depth-pfm $n/g/j --run-json $n/k/run.json "$in"
	each e3-export --per-frame --ply $n/l/m "$in"
	each e3-cat --tee $n/n/t.e3 -o $n/o/o.e3 "$in"
	each e3-align --report $n/p/report --edges $n/p/q/edges -o $n/r/o.e3 "$in"
	each e3-eval --against "$in" -o $n/s/report "$in"
}

@test "outputs in folders that are missing" {
	each() { "$@" 2>"$T/err" || { cat "$T/err"; return 1; }; }
	stream x.e3
	everything new x.e3
	there new/a/b/x.glb new/c/x.ply new/d/t new/d/k new/e/i new/f/x.npz new/g/{h,i}/000000.png new/g/j/000000.pfm new/k/run.json
	there new/l/m/* new/n/t.e3 new/o/o.e3 new/p/report new/p/q/edges new/r/o.e3 new/s/report
	e3-scene -q --frames 2 --size 28x28 -o scene/s.e3
	e3-decode -q --png png/p --images img/i -o dec/o.e3 "$DEMO/clip.mp4" --max-frames 1
	there png/p/000000.png img/i/* dec/o.e3
	e3-infer -q --model seed:tiny:1 --save-cache cache/c --dump dump/d --P 0.5 -o infer/p.e3 scene/s.e3
	there cache/c infer/p.e3 dump/d/*pose.npy
	e3-evict-stats -q -o stats/r --tsv stats/t --png stats/p infer/p.e3
	there stats/r stats/t/* stats/p/*.png
	e3-model seed --config tiny --seed 1 -o model/m.safetensors
	e3-cat --keygen key/k
	there model/m.safetensors key/k key/k.pub
}

@test "a run that fails, or that a signal ends, leaves no folder" {
	each() { fails 1 "$why" -- "$@"; }
	why="nowhere.e3: No such file or directory"
	everything new nowhere.e3
	printf 'no stream' >bad.e3
	why=bad.e3
	everything new bad.e3
	fails 1 nowhere -- e3-infer --model seed:tiny:1 --save-cache new/c/c --dump new/d -o new/p/p.e3 nowhere.e3
	fails 1 nowhere -- e3-decode --png new/p --images new/i -o new/o/o.e3 nowhere.mp4
	fails 2 "--seed" -- e3-scene --seed x -o new/s.e3
	[ ! -e new ]
	mkfifo in
	e3-infer -q --model seed:tiny:1 -o new/p/p.e3 --dump new/d in 2>err &
	wait_until 10 test -d new/p
	exec 9>in
	wait_until 10 handles_signals $!
	kill $!
	wait $! || true
	exec 9>&-
	[ ! -e new ] || { find new; false; }
	mkdir kept
	fails 1 nowhere -- e3-export --tum kept/new/t nowhere.e3
	[ -d kept ]
	[ ! -e kept/new ]
}

@test "what cannot be a folder or a file is said before the stream is read" {
	stream x.e3
	touch file
	mkdir -p dir d/000001.png
	fails 1 "opening: file/x.glb: creating a directory: file: exists and is not a directory" -- e3-export --glb file/x.glb --tum t x.e3
	fails 1 "opening: dir: Is a directory" -- e3-export --glb dir --tum t x.e3
	fails 1 "opening: new/: Is a directory" -- e3-cat -o new/ x.e3
	fails 1 "d/000001.png: is a directory, in the way of a file of that name" -- e3-export --depth d --tum t x.e3
	[ ! -e t ]
	[ ! -e new ]
}

@test "links: a link stays a link, to a file or a folder, also to what is missing" {
	stream x.e3
	ln -s far/away/x.tum link
	ln -s far/depth/d folder
	ln -s far/loop2 far_loop
	ln -s here/x.ply away
	ln -s nothing here
	e3-export -q --tum link --depth folder --ply away x.e3
	[ -L link ]
	[ -L folder ]
	[ -L away ]
	[ -L here ]
	there far/away/x.tum far/depth/d/000002.png nothing/x.ply
	ln -s b a
	ln -s a b
	fails 1 "Too many levels of symbolic links" -- e3-export --tum a x.e3
	fails 1 "creating a directory: a" -- e3-export --depth a x.e3
}

@test "files of an earlier run in a folder go when those of a shorter one appear, and no other file" {
	local all=(--depth d --depth-color c --depth-pfm p --depth-exr e --per-frame --ply f)
	stream x.e3 frames=5
	stream y.e3 frames=2
	e3-export -q "${all[@]}" x.e3
	# names of ours with what is not ours; names that are not ours; a link; a folder
	e3-decode -q --png png "$DEMO/clip.mp4" --max-frames 1
	for n in d c; do
		cp png/000000.png $n/000007.png
		echo own >$n/notes.txt
		mkdir $n/sub
		ln -s notes.txt $n/000008.png
		cp $n/000004.png $n/best.png
	done
	printf 'Pf\n2 1\n-1.000000\n01234567' >p/000009.pfm
	printf 'ply\nformat ascii 1.0\nend_header\n' >f/frame_000009.ply
	# a run that fails removes nothing
	stream bad.e3 frames=1 abort=broken
	fails 1 broken -- e3-export "${all[@]}" bad.e3
	there {d,c}/000004.png p/000004.pfm e/000004.exr f/frame_000004.ply
	e3-export "${all[@]}" y.e3 2>err
	for n in d c p e f; do grep -q "$n: removed 3 files of an earlier run" err; done
	for n in d c; do
		[ "$(cd $n && echo *)" = "000000.png 000001.png 000007.png 000008.png best.png notes.txt sub" ]
	done
	[ "$(cd p && echo *)" = "000000.pfm 000001.pfm 000009.pfm" ]
	[ "$(cd e && echo *)" = "000000.exr 000001.exr" ]
	[ "$(cd f && echo *)" = "frame_000000.ply frame_000001.ply frame_000009.ply" ]
	e3-export "${all[@]}" y.e3 2>err
	grep -c earlier err | grep -qx 0
}

@test "e3-decode --png: the pictures of a longer run before it go, by its table, and no other" {
	e3-decode -q --png p --all --max-frames 5 "$DEMO/clip.mp4"
	cp p/000000.png p/000007.png
	cp p/000000.png p/own.png
	e3-decode --png p --all --max-frames 2 "$DEMO/clip.mp4" 2>err
	grep -q "p: removed 3 pictures of an earlier run" err
	[ "$(cd p && echo *)" = "000000.png 000001.png 000007.png frames.tsv own.png" ]
}

@test "names of frames sort past every power of ten" {
	stream x.e3 frames=3
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" x.e3 late.e3 'for k, f in m:
    if k == 3: f["i"] += 999998'
	e3-export -q --depth d --depth-pfm p --depth-exr e --per-frame --ply f x.e3
	e3-export -q --depth d --depth-pfm p --depth-exr e --per-frame --ply f late.e3
	for n in d p e f; do
		[ "$(ls $n | tr -dc '0-9\n' | tr '\n' ' ')" = "0999998 0999999 1000000 " ] || { ls $n; false; }
	done
}

@test "more than a GLB or the temporary disk can hold is said with the first frame" {
	stream x.e3
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" x.e3 long.e3 'm[0][1]["frames"] = 10**12'
	e3-export --glb x.glb --voxel none --max-points 0 long.e3 2>err
	grep -q "x.glb: 1000000000000 frames make up to .* GiB, and a GLB holds at most 4 GiB.*write fewer points, larger voxels, or a PLY" err
	grep -q "temporary files: 1000000000000 frames need about .* MB are free (TMPDIR chooses where)" err
	e3-export --glb x.glb --tum t long.e3 2>err # at most 2,000,000
	grep -c "4 GiB" err | grep -qx 0
	e3-export --glb x.glb --voxel none --max-points 0 x.e3 2>err
	grep -cE "4 GiB|TMPDIR" err | grep -qx 0
}

@test "an output whose folder would be another output's file is wrong usage" {
	stream x.e3
	fails 2 "--tum x/t needs a folder with the name of --glb x: give them different names" -- e3-export --glb x --tum x/t x.e3
	fails 2 "--tee y/t needs a folder with the name of --output ./y: give them different names" -- e3-cat --tee y/t -o ./y x.e3
	[ ! -e x ]
	[ ! -e y ]
	e3-export -q --depth d --tum d/t x.e3 # in the folder of another output is well
	there d/t d/000000.png
}
