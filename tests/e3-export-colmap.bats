load common
# e3-export --colmap: a rendered room as exact predictions, in pictures three times as large as the network's. The model is read by
# tests/colmap_check.py (numpy) and by COLMAP itself.
bats_require_minimum_version 1.5.0

setup_file() {
	export PATH="$B/bin:$PATH" QT_QPA_PLATFORM=offscreen
	cd "$BATS_FILE_TMPDIR" || return
	local tests=$BATS_TEST_DIRNAME
	e3-scene -q --noise 0 --seed 7 --frames 10 --size 64x48 -o room.e3
	e3-scene -q --noise 0 --seed 7 --frames 10 --size 192x144 -o large.e3
	/usr/bin/python3 -B "$tests/recon_stream.py" predict room.e3 exact.e3
	mkdir pics
	PYTHONPATH=$tests /usr/bin/python3 -B -c '
from e3read import messages
from PIL import Image
for f in messages("large.e3", "frame"):
    Image.fromarray(f["rgb"]).save("pics/view %02d.png" % f["i"])'
	/usr/bin/python3 -B "$tests/edit_stream.py" exact.e3 full.e3 'for k, f in m:
    if k == 3: f.update(src_w=192, src_h=144, fit=[1 / 3, 1 / 3, 0.0, 0.0], name="view %02d.png" % f["i"])'
}

prepare() {
	cd "$T" || return
	ln -s "$BATS_FILE_TMPDIR"/{pics,exact.e3,full.e3} .
	mkdir tmp
	export TMPDIR=$T/tmp
}
edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }
check() { /usr/bin/python3 -B "$ROOT/tests/colmap_check.py" "$@"; }
# model DIR ARG...: of the exact room, all pixels, with its pictures; what is said in ./said
model() {
	local to=$1
	shift
	e3-export --conf-pct 0 --images pics --colmap "$to" "$@" 2>said || { cat said; return 1; }
}
as_list() { find "$1" -printf '%P %y\n' | sort; }

@test "exact predictions: every observation is where the point is, its colour too, in all files" {
	model m full.e3
	grep -q "m: 10 pictures of 10 frames, [0-9]* points" said
	grep -q "1 camera for 10 pictures: focal length 167.71 pixels" said
	check same m
	check exact m
	[ m/images/view_03.png -ef "pics/view 03.png" ]
	[ "$(cut -d ' ' -f 2-4 <m/sparse/0/cameras.txt | tail -n 1)" = "PINHOLE 192 144" ]
	find m tmp -name '.tmp*' | grep . && return 1
	# from the point map: its depth
	model map --points map full.e3
	check same map
	check exact map
	# the network's pictures: the camera is theirs
	e3-export --conf-pct 0 --colmap small exact.e3 2>said
	grep -q "small: the pictures are those of the network, 64 × 48" said
	check same small
	check exact small
	[ -f small/images/frame_000009.png ]
	[ "$(cut -d ' ' -f 2-4 <small/sparse/0/cameras.txt | tail -n 1)" = "PINHOLE 64 48" ]
}

@test "COLMAP reads it; its bundle adjustment has nothing to do" {
	model m --colmap-points 1500 full.e3
	colmap model_analyzer --path m/sparse/0 >text 2>&1
	grep -qx "Registered images: 10" text
	grep -qx "Points: 1500" text
	mkdir txt adjusted
	colmap model_converter --input_path m/sparse/0 --output_path txt --output_type TXT >text 2>&1
	/usr/bin/python3 -B -c "
import sys
sys.path.insert(0, '$ROOT/tests')
import colmap_check as c
c.equal(c.read_bin('m/sparse/0'), c.read_txt('txt'))"
	colmap bundle_adjuster --input_path m/sparse/0 --output_path adjusted --BundleAdjustment.max_num_iterations 10 >text 2>&1
	awk '/Initial cost/ { n++; if ($4 >= 0.1) exit 1 } END { exit !n }' text || { cat text; return 1; }
	read -r moved focal before after < <(check moved m/sparse/0 adjusted)
	echo "moved $moved, focal length $focal %, error $before before and $after after"
	# the path is 0.6 long
	awk -v m="$moved" -v f="$focal" -v b="$before" -v a="$after" 'BEGIN { exit !(m < 1e-3 && f < 0.05 && b < 0.01 && a < 0.01) }'
	colmap image_undistorter --image_path m/images --input_path m/sparse/0 --output_path flat >text 2>&1
	[ "$(find flat/images -name '*.png' | wc -l)" -eq 10 ]
}

@test "one camera for all, or one for each: points stay on the rays of their pixels" {
	# focal lengths that differ by up to 5 %, two frames without one
	edit full.e3 zoom.e3 'import struct
for k, f in m:
    if k == 3:
        v = list(struct.unpack("<9f", f["pose"]["data"]))
        v[7:9] = [0 if f["i"] in (4, 5) else x * (0.95 + 0.01 * f["i"]) for x in v[7:9]]
        f["pose"]["data"] = struct.pack("<9f", *v)'
	for how in "" --camera-per-image; do
		model m --no-tracks $how zoom.e3
		check same m
		check rays m
		[ "$(grep -c PINHOLE m/sparse/0/cameras.txt)" -eq "$([ -n "$how" ] && echo 10 || echo 1)" ]
		[ -n "$how" ] || grep -q "1 camera for 10 pictures.*a camera for each picture may fit better" said
	done
	# pictures of two sizes: a camera for each, and the network's padding gives no points
	edit exact.e3 two.e3 'for k, f in m:
    if k == 3 and f["i"] % 2: f.update(src_w=64, src_h=40, fit=[1.0, 1.0, 0.0, 4.0], name="view %02d.png" % f["i"])
    elif k == 3: f.update(src_w=192, src_h=144, fit=[1 / 3, 1 / 3, 0.0, 0.0], name="view %02d.png" % f["i"])'
	mkdir two
	/usr/bin/python3 -c "
from PIL import Image
for i in range(10):
    im = Image.open('pics/view %02d.png' % i)
    (im.resize((64, 48), Image.BOX).crop((0, 4, 64, 44)) if i % 2 else im).save('two/view %02d.png' % i)"
	e3-export --conf-pct 0 --images two --colmap m two.e3 2>said
	grep -q "2 cameras, one for each size, for 10 pictures" said
	check same m
	check exact m 90 # the small pictures are smoothed
	e3-export -q --conf-pct 0 --no-tracks --colmap small two.e3
	/usr/bin/python3 -B -c "
import sys
sys.path.insert(0, '$ROOT/tests')
import colmap_check as c
xy = [x[4] for x in c.read_bin('small/sparse/0')[1].values()]
assert len(xy[1]) > 50 and xy[1][:, 1].min() > 4 and xy[1][:, 1].max() < 44, xy[1]
assert xy[0][:, 1].min() == 0.5 and xy[0][:, 1].max() == 47.5"
}

@test "keyframes: the sharpest of so many frames, of a way, of a share of the whole way" {
	edit full.e3 blurred.e3 'for k, f in m:
    if k == 3 and f["i"] not in (2, 5, 9): f["rgb"]["data"] = bytes([90]) * len(f["rgb"]["data"])'
	names() { find m/images -type f -printf '%f ' | tr ' ' '\n' | sort | tr '\n' ' '; }
	model m --colmap-every 4 blurred.e3
	grep -q "m: 3 pictures of 10 frames" said
	[ "$(names)" = "view_02.png view_05.png view_09.png " ]
	check same m
	model m --colmap-every 25% full.e3
	[ "$(names | wc -w)" -eq 4 ] || { names; return 1; }
	check same m
	model m --colmap-every 1000u full.e3
	[ "$(names | wc -w)" -eq 1 ]
	edit full.e3 still.e3 'for k, f in m:
    if k == 3: f["pose"] = m[1][1]["pose"]'
	model m --colmap-every 10% still.e3
	[ "$(names | wc -w)" -eq 1 ]
	for bad in 0 x 5x u % -1u 101% 1.5; do
		fails 2 "--colmap-every" -- e3-export --colmap x --colmap-every $bad full.e3
	done
}

@test "pictures are looked at before anything is written" {
	cp -rL pics own
	rm own/"view 07.png"
	fails 1 "own/view 07.png: no such picture; 1 of 10 are missing" -- e3-export --tum t --images own --colmap m full.e3
	[ -s t ]
	[ ! -e m ]
	/usr/bin/python3 -c "
from PIL import Image
im = Image.open('pics/view 07.png')
im.resize((96, 72)).save('own/view 07.png')"
	fails 1 "own/view 07.png: 96 × 72 pixels, but frame 7 was made of a picture of 192 × 144" -- \
		e3-export --images own --colmap m full.e3
	printf '\0\0\0\030ftypheic\0\0\0\0mif1heic' >own/"view 07.png"
	fails 1 "own/view 07.png: neither JPEG nor PNG" -- e3-export --images own --colmap m full.e3
	echo nothing >own/"view 07.png"
	fails 1 "own/view 07.png" -- e3-export --images own --colmap m full.e3
	fails 1 "does not say what its picture is called" -- e3-export --images own --colmap m exact.e3
	edit full.e3 twice.e3 'for k, f in m:
    if k == 3 and f["i"] == 5: f["name"] = "view 03.png"'
	fails 1 "frames 3 and 5 of the stream have pictures of one name, view 03.png" -- e3-export --images pics --colmap m twice.e3
	fails 2 "--images: needs --colmap" -- e3-export --images pics --tum x full.e3
	fails 1 "none: No such file" -- e3-export --images none --colmap m full.e3
	[ ! -e m ]
	edit full.e3 bare.e3 'for k, f in m: f.pop("pose", 0)'
	fails 1 "no pose" -- e3-export --points map --colmap m bare.e3
	[ ! -e m ]
	# a user's own: turned by EXIF, with alpha, 16 bits, a link; names that do not sort, and two that differ by a blank
	cp pics/"view 07.png" own
	/usr/bin/python3 -c "
from PIL import Image
im = [Image.open('pics/view %02d.png' % i) for i in range(10)]
turned = im[0].transpose(Image.ROTATE_90)
exif = turned.getexif()
exif[0x112] = 6
turned.save('own/a 1.jpg', exif=exif, quality=97)
im[1].convert('RGBA').save('own/a_1.jpg', 'PNG')
im[2].save('own/a 10.jpg', quality=97)"
	ln -s "../pics/view 03.png" own/z.png
	edit full.e3 own.e3 'for k, f in m:
    if k == 3: f["name"] = ["a 1.jpg", "a_1.jpg", "a 10.jpg", "z.png"][f["i"]] if f["i"] < 4 else f["name"]'
	e3-export --conf-pct 0 --images own --colmap m own.e3 2>said || { cat said; return 1; }
	grep -q "2 pictures written anew as PNG" said
	grep -q "do not sort in the order of the frames: they are numbered, as 000001_a_1.png" said
	[ "$(find m/images -type f -printf '%f\n' | sort | head -n 4 | tr '\n' ' ')" = \
		"000001_a_1.png 000002_a_1.png 000003_a_10.jpg 000004_z.png " ]
	check same m
	check exact m
}

@test "the folder: what is of an earlier run goes, what is somebody else's stays" {
	mkdir -p m/.tmp.999999/images # of a process that was killed
	touch m/.tmp.999999/images/view_00.png
	model m --colmap-points 100 full.e3
	[ "$(find m -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ')" = "images m points.ply sparse transforms.json " ]
	echo mine >m/notes.txt
	echo mine >m/images/mine.png
	e3-export -q --conf-pct 0 --colmap m --colmap-points 100 exact.e3
	[ "$(find m/images -name 'view*' | wc -l)" -eq 0 ]
	[ "$(cat m/notes.txt m/images/mine.png)" = $'mine\nmine' ]
	[ "$(find m/images -name 'frame_*' | wc -l)" -eq 10 ]
	rm m/images/mine.png
	check same m
	# a picture of somebody else's in the way, then a whole model
	mv m/images/frame_000003.png m/images/view_03.png
	as_list m >before
	fails 1 "m/images/view_03.png is there, and not of an earlier run" -- e3-export --images pics --colmap m full.e3
	as_list m | diff before -
	mkdir -p other/sparse/0
	cp m/sparse/0/points3D.bin other/sparse/0
	fails 1 "other/sparse/0/points3D.bin is there, and not of an earlier run" -- e3-export --colmap other full.e3
	mkdir scene
	echo '{}' >scene/transforms.json
	fails 1 "scene/transforms.json is there" -- e3-export --colmap scene full.e3
	[ "$(cat scene/transforms.json)" = '{}' ]
	touch a-file
	mkdir bad
	ln -s ../a-file bad/images
	fails 1 "bad/images: exists and is not a directory" -- e3-export --colmap bad full.e3
	[ "$(ls -A bad)" = images ]
	fails 2 "a folder cannot be standard output" -- e3-export --colmap - full.e3
}

@test "a disk that is full, a stream that ends early, a point that is not there" {
	local rc=0
	(trap '' XFSZ; ulimit -f 20; TMPDIR=/tmp; exec e3-export --tum t --colmap m exact.e3) 2>said || rc=$?
	[ "$rc" -eq 1 ]
	grep -q "File too large" said
	[ ! -e m ]
	# what came is a whole model, in the place of a longer one
	model m --colmap-points 100 full.e3
	edit full.e3 cut.e3 'm[:] = m[:9]'
	rc=0
	e3-export --conf-pct 0 --images pics --colmap m cut.e3 2>said || rc=$?
	[ "$rc" -eq 1 ]
	grep -q "m: cut short: the 4 frames that came are kept in it" said
	check same m
	[ "$(find m/images -type f | wc -l)" -eq 4 ]
	rm -r m
	fails 1 "none is left" -- e3-export --tum t2 --conf-min 2 --colmap m exact.e3
	[ -s t2 ]
	[ ! -e m ]
	# a point at least is not asked for
	e3-export -q --conf-min 2 --allow-empty --colmap m exact.e3
	check same m
	find tmp . -name '.tmp*' | grep . && return 1
	true
}
