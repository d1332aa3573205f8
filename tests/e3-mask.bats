#!/usr/bin/env bats
# e3-mask: masks by ONNX models, compared with numpy; masks from pictures; what is refused.
load common

setup_file() {
	PATH="$B/bin:$PATH"
	cd "$BATS_FILE_TMPDIR" || return
	[ -e "$B/lib/e3/libe3-onnx.so" ] || return 0
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/onnx_models.py" .
	e3-scene -q --frames 2 --size 320x240 -o s.e3
}

prepare() {
	export XDG_CACHE_HOME=$T/cache
	cd "$T" || return 1
	f=$BATS_FILE_TMPDIR
}
onnx() { [ -e "$B/lib/e3/libe3-onnx.so" ] || skip "OpenCV's dnn module is not installed: there is no plug-in"; }
# as_numpy STREAM MODEL KEY=VALUE...
as_numpy() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/mask_check.py" "$1" "$f/$2" "${@:3}"; }

@test "--sky: the first of seven outputs, at least 32/255; masks follow their frames; all else is passed on" {
	onnx
	e3-mask -q --sky "$f/sky.onnx" "$f/s.e3" >o.e3
	as_numpy o.e3 sky.onnx threshold=0.12549019607843137
	[ "$(e3-dump o.e3 | cut -d' ' -f1 | paste -sd' ')" = "head frame mask truth frame mask truth end" ]
	diff <(e3-dump o.e3 | grep -v '^mask') <(e3-dump "$f/s.e3")
	# found by itself, from the middle of a pipe, and smaller
	mkdir -p "$XDG_CACHE_HOME/e3"
	cp "$f/sky.onnx" "$XDG_CACHE_HOME/e3/skyseg.onnx"
	e3-mask -q --sky <"$f/s.e3" | cmp - o.e3
	e3-mask -q --sky "$f/s.e3" --max-side 100 >o.e3
	as_numpy o.e3 sky.onnx threshold=0.12549019607843137 side=100
}

@test "--compat upstream stretches every picture, also one without sky" {
	onnx
	e3-mask -q --sky "$f/sky.onnx" --compat upstream "$f/s.e3" >o.e3
	as_numpy o.e3 sky.onnx threshold=32 stretch=1 side=0
	/usr/bin/python3 -c 'from PIL import Image; Image.linear_gradient("L").resize((64, 48)).point(lambda v: v // 4).convert("RGB").save("red.png")
im = Image.open("red.png"); Image.merge("RGB", (im.getchannel(0).point(lambda v: 255 - v), im.getchannel(1), im.getchannel(2))).save("red.png")'
	e3-decode -q red.png >red.e3
	e3-mask --sky "$f/sky.onnx" red.e3 2>said | e3-dump | grep -q 'mask=u8\[48x64\](0..0 mean 0)'
	grep -qx "e3-mask: no pixel of 1 frame is of this class" said
	e3-mask -q --sky "$f/sky.onnx" --compat upstream red.e3 >o.e3
	as_numpy o.e3 sky.onnx threshold=32 stretch=1 side=0
	e3-dump o.e3 | grep -q 'mask=u8\[48x64\](0..255'
}

@test "--onnx: the highest of several channels, channels last, labels, logits of a model that takes blue first" {
	onnx
	e3-mask -q --onnx "$f/rgb.onnx" --classes red=0,blue=2 --input-size 50x40 "$f/s.e3" >o.e3
	as_numpy o.e3 rgb.onnx size=50x40 classes=red:0,blue:2 rule=argmax
	e3-mask -q --onnx "$f/last.onnx" --classes red=0,blue=2 "$f/s.e3" >o.e3
	as_numpy o.e3 last.onnx classes=red:0,blue:2 rule=argmax
	e3-mask -q --onnx "$f/labels.onnx" --classes blue=2 "$f/s.e3" >o.e3
	as_numpy o.e3 labels.onnx classes=blue:2 rule=labels
	e3-mask -q --onnx "$f/logits.onnx" --classes a=0 --bgr --sigmoid --mean 0,0,0 --std 1,1,1 --threshold 0.3 "$f/s.e3" >o.e3
	as_numpy o.e3 logits.onnx classes=a:0 bgr=1 sigmoid=1 threshold=0.3 mean=0 std=1
	e3-mask -q --onnx "$f/rgb.onnx" --classes red=0 --decide threshold --threshold 1 --input-size 50x40 "$f/s.e3" >o.e3
	as_numpy o.e3 rgb.onnx size=50x40 classes=red:0 threshold=1
}

@test "a U2-Net, as PyTorch exports it" {
	onnx
	e3-mask -q --onnx "$f/u2.onnx" --classes thing=0 --threads 1 "$f/s.e3" >o.e3
	as_numpy o.e3 u2.onnx classes=thing:0
}

@test "predictions: the pictures that they carry" {
	onnx
	e3-infer -q --model seed:tiny:7 --no-evict "$f/s.e3" >p.e3
	e3-mask -q --sky "$f/sky.onnx" p.e3 >o.e3
	as_numpy o.e3 sky.onnx threshold=0.12549019607843137
}

@test "models that cannot be used are refused before the stream is read" {
	onnx
	refused() { fails 1 "reading the model: $1" -- e3-mask -o o.e3 "${@:2}" </dev/null; [ ! -e o.e3 ]; }
	refused "$f/two.onnx: it has 2 inputs: expected one, the picture" --onnx "$f/two.onnx" --classes a=0
	refused "$f/gray.onnx: its input is image f32[1,1,8,8]: expected 3 channels in the second dimension" --onnx "$f/gray.onnx" --classes a=0
	refused "$f/rgb.onnx: its input is image f32[1,3,?,?], of any size: --input-size says which" --onnx "$f/rgb.onnx" --classes a=0
	refused "$f/logits.onnx: its input is image f32[1,3,64,64]: --input-size 32 × 24 does not fit" --onnx "$f/logits.onnx" --classes a=0 --input-size 32x24
	refused "$f/rgb.onnx: it has no output 'x'; the first of 1 is scores f32[1,3,?,?]" --onnx "$f/rgb.onnx" --classes a=0 --tensor x
	echo x >x.onnx
	refused "x.onnx: not an ONNX model" --onnx x.onnx --classes a=0
	fails 1 "$f/rgb.onnx: output scores has 3 channels: expected number 3 for class a" -- e3-mask --onnx "$f/rgb.onnx" --classes a=3 --input-size 8x8
	fails 1 "$f/logits.onnx: output logits has one channel: there is no highest of several" -- e3-mask --onnx "$f/logits.onnx" --classes a=0 --decide argmax
	fails 1 "$f/unknown.onnx: loading the model: OpenCV" -- e3-mask --onnx "$f/unknown.onnx" --classes a=0
	head -c 300000 "$f/u2.onnx" >cut.onnx
	fails 1 "cut.onnx: not an ONNX model" -- e3-mask --onnx cut.onnx --classes a=0
	# what OpenCV does not find wrong, but crashes on
	mkfifo in
	e3-mask -q --sky "$f/sky.onnx" in -o o.e3 2>err &
	pid=$!
	exec 7>in # it has the model now
	kill -SEGV $pid
	rc=0
	wait $pid || rc=$?
	exec 7>&-
	[ "$rc" -eq 1 ]
	[ "$(cat err)" = "e3-mask: running the model: $f/sky.onnx: OpenCV crashed: is the model damaged?" ]
	# the stage after it is told
	rc=0
	e3-mask --sky "$f/two.onnx" "$f/s.e3" 2>err1 | e3-cat >o.e3 2>err2 || rc=$?
	[ "$rc" -eq 1 ]
	grep -q "^e3-cat: e3-mask failed (exit 1): reading the model: $f/two.onnx: it has 2 inputs" err2
}

@test "no model, no plug-in: what to install" {
	fails 1 "finding the model for sky: $XDG_CACHE_HOME/e3/skyseg.onnx: not there: 'e3-model fetch skyseg' gets it" -- e3-mask --sky o.e3
	onnx
	mkdir bin
	cp "$B/bin/e3-mask" bin
	fails 1 "the plug-in libe3-onnx.so is not installed: models run through OpenCV: install the package e3-onnx, or libopencv-dnn-dev" -- bin/e3-mask --sky "$f/sky.onnx" "$f/s.e3"
}

@test "--from: pictures by number or in order, of the source or of the frame" {
	/usr/bin/python3 - <<-'PY'
		from PIL import Image
		import os
		os.mkdir("m"), os.mkdir("n")
		for k in range(4):
		    im = Image.new("L", (8, 4))
		    im.putpixel((k, 1), 7)
		    im.save(f"m/{k}.png"), im.resize((64, 48), 0).save(f"n/mask_{k + 8}.png")
	PY
	touch m/._0.png n/._mask_8.png # as macOS leaves them
	e3-scene -q --frames 5 --size 64x48 | e3-cat --skip 1 --take 3 - s.e3
	e3-mask -q --from m --class person s.e3 >o.e3
	[ "$(e3-dump o.e3 | grep -c '^mask .* class=person fit=\[0.125,0.08333333333333333,0,0\] mask=u8\[4x8\](0..255 mean 7.969)$')" -eq 3 ]
	[ "$(e3-dump --full o.e3 | grep -o 'mask=u8\[4x8\]\[[0-9,]*' | cut -d'[' -f3 | awk -F, '{ for (k = 1; k <= NF; k++) if ($k) print k }' | paste -sd' ')" = "10 11 12" ] # frames 1, 2, 3
	e3-mask -q --from n --class sky --invert s.e3 >o.e3
	[ "$(e3-dump o.e3 | grep -c '^mask .* class=sky mask=u8\[48x64\](0..255 mean 247)$')" -eq 3 ] # no fit: it is the frame's size
	# in natural order, 8 before 10: frame 1 has the first picture
	[ "$(e3-mask -q --from n --class a s.e3 | e3-dump --full | grep '^mask i=1\|^mask.* i=1 ' | grep -o 'u8\[48x64\]\[.*' | tr ',' '\n' | grep -n -m1 255 | cut -d: -f1)" -eq $((12 * 64 + 1)) ]
	# what is transparent is not marked, whatever its colour: cut-outs, white with a mask as alpha
	mkdir cut
	/usr/bin/python3 - <<-'PY'
		from PIL import Image
		for k, mode in enumerate(("RGBA", "RGBA", "LA")):
		    im, alpha = Image.new("RGB", (8, 4), (255, 255, 255) if k else (9, 200, 9)), Image.new("L", (8, 4))
		    alpha.putpixel((k, 1), 255)
		    im = im.convert(mode)
		    im.putalpha(alpha)
		    im.save(f"cut/{k + 1}.png")
	PY
	e3-mask -q --from cut --class a s.e3 >o.e3
	[ "$(e3-dump --full o.e3 | grep -o 'mask=u8\[4x8\]\[[0-9,]*' | cut -d'[' -f3 | awk -F, '{ for (k = 1; k <= NF; k++) if ($k) print k }' | paste -sd' ')" = "9 10 11" ]
	rm m/3.png
	fails 1 "masking frame 3: reading masks: m: no mask for frame 3" -- e3-mask --from m --class a s.e3 -o x.e3
	[ "$(e3-dump x.e3.partial 2>/dev/null | grep -c ^mask)" -eq 2 ]
	fails 1 "reading masks: nothing: No such file" -- e3-mask --from nothing --class a s.e3
}

@test "--from: pictures by the names of frames, where some have other masks too, or none" {
	/usr/bin/python3 - <<-'PY'
		from PIL import Image
		import os
		for folder in ("pictures", "m", "other"):
		    os.mkdir(folder)
		for k, x in enumerate("abc"):
		    Image.new("RGB", (64, 48), (50 * k, 90, 90)).save(f"pictures/{x}.jpg")
		    im = Image.new("L", (8, 4))
		    im.putpixel((k, 0), 255)
		    im.save(f"m/{x}.png"), im.save(f"other/{x}_mask.png")
	PY
	rm pictures/b.jpg
	mv m/c.png m/c.jpg.png # as COLMAP names them
	e3-decode -q pictures -o s.e3
	marked() { e3-dump --full "$1" | grep -o 'mask=u8\[4x8\]\[[0-9,]*' | cut -d'[' -f3 | awk -F, '{ for (k = 1; k <= NF; k++) if ($k) print k - 1 }' | paste -sd' '; }
	e3-mask -q --from m --class x s.e3 >o.e3
	[ "$(marked o.e3)" = "0 2" ]
	e3-mask -q --from other --class x s.e3 >o.e3 # in order
	[ "$(marked o.e3)" = "0 1" ]
	cp m/a.png m/c.jpg
	e3-mask -q --from m --class x s.e3 >o.e3
	[ "$(marked o.e3)" = "0 2" ]
	mv m/c.jpg m/c.png
	mv m/c.jpg.png m/c.jpg
	fails 1 "masking frame 1: reading masks: m: 2 masks for frame 1, c.jpg: c." -- e3-mask --from m --class x s.e3 -o x.e3
	rm m/c.jpg m/c.png
	fails 1 "masking frame 1: reading masks: m: no mask for frame 1, c.jpg: others have the names of their frames" -- e3-mask --from m --class x s.e3 -o x.e3
	cp m/a.png other/c.png
	fails 1 "masking frame 1: reading masks: other: c.png has the name of frame 1, c.jpg, but the frames before have none" -- e3-mask --from other --class x s.e3 -o x.e3
	# e3-export --mask-dir does the same.
	e3-infer -q --model seed:tiny:7 --no-evict s.e3 -o p.e3
	fails 1 "no mask for frame 1, c.jpg: others have the names" -- e3-export --mask-dir m --glb x.glb p.e3
}

# portrait MODEL: a portrait clip of which the network sees the middle, with masks of its source: pictures for --from (white is the class) and --mask-dir.
portrait() {
	e3-scene -q --frames 3 --size 64x96 -o f.e3
	/usr/bin/python3 - <<-'PY'
		import os, random
		from PIL import Image, ImageOps
		random.seed(1)
		os.mkdir("sky"), os.mkdir("keep"), os.mkdir("person")
		for k in range(3):
		    im = Image.frombytes("L", (32, 48), bytes(random.choice((0, 255)) for _ in range(32 * 48)))
		    im.save(f"sky/{k}.png"), ImageOps.invert(im).save(f"keep/{k}.png")
		    Image.new("L", (1, 2), 0).save(f"person/{k}.png")
	PY
	e3-mask -q --from sky --class sky f.e3 | e3-mask -q --from person --class person |
		e3-infer -q --device cpu --model "$1" --no-evict --fit-mode crop -o m.e3
	[ "$(e3-dump m.e3 | grep -c '^mask')" -eq 6 ]
}

@test "e3-export --mask leaves out what --mask-dir of the same pictures leaves out, in every output; after corrections too" {
	portrait "$DEMO/model.safetensors"
	all=(--clean none --conf-pct 0 --ply a.ply --mesh a.glb --splat a.splat.ply)
	e3-export -q "${all[@]}" --mask-dir keep m.e3
	mkdir dir && mv a.* dir
	e3-export "${all[@]}" --mask sky m.e3 2>err
	! grep -q -- --mask err || return 1
	for k in a.ply a.glb a.splat.ply; do cmp $k dir/$k; done
	e3-export -q --clean none --conf-pct 0 --ply all.ply m.e3
	[ "$(stat -c %s a.ply)" -lt $(($(stat -c %s all.ply) * 6 / 10)) ]
	# held until the end, and only the classes that are asked for
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" m.e3 held.e3 'm[0][1]["corrects"] = 1'
	e3-export -q --clean none --conf-pct 0 --ply b.ply --mask person,sky held.e3
	cmp a.ply b.ply
	e3-export -q --clean none --conf-pct 0 --ply b.ply --mask person m.e3
	cmp all.ply b.ply
	# before its prediction; apart from it
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" m.e3 before.e3 'k = [x for x in m if x[0] == 9]; p = [x for x in m if x[0] == 3]; m[1:-1] = [k[0], k[1], p[0], k[2], k[3], p[1], k[4], k[5], p[2]]'
	e3-export -q --clean none --conf-pct 0 --ply b.ply --mask sky before.e3
	cmp a.ply b.ply
	/usr/bin/python3 -B "$ROOT/tests/edit_stream.py" m.e3 late.e3 'k = [x for x in m if x[0] == 9]; p = [x for x in m if x[0] == 3]; m[1:-1] = p + k'
	e3-export --clean none --conf-pct 0 --ply b.ply --mask sky late.e3 2>err
	grep -qx "e3-export: 2 masks were not directly after the frame they belong to: not used" err
	grep -qx "e3-export: --mask sky: 2 of 3 frames have no mask of this class" err
}

@test "every stage passes masks on; parts of a stream have those of their frames" {
	portrait seed:tiny:7
	masks() { e3-dump "$1" | grep '^mask' | cut -d' ' -f3-4 | paste -sd' '; }
	both="i=0 class=person i=0 class=sky i=1 class=person i=1 class=sky i=2 class=person i=2 class=sky"
	[ "$(masks m.e3)" = "$both" ]
	e3-align -q m.e3 >o.e3
	[ "$(masks o.e3)" = "$both" ]
	e3-evict-stats -q --pass m.e3 2>/dev/null >o.e3
	[ "$(masks o.e3)" = "$both" ]
	e3-cat -q --skip 1 --take 1 m.e3 >o.e3
	[ "$(masks o.e3)" = "i=1 class=person i=1 class=sky" ]
	# resumed and joined
	e3-mask -q --from sky --class sky f.e3 >k.e3
	e3-cat --take 2 k.e3 | e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 2f --save-cache c -o 1.e3
	e3-infer -q --device cpu --model seed:tiny:7 --load-cache c k.e3 -o 2.e3
	e3-cat -q 1.e3 --then 2.e3 >o.e3
	[ "$(masks o.e3)" = "i=0 class=sky i=1 class=sky i=2 class=sky" ]
}

@test "e3-export --mask: a class that the stream does not have" {
	portrait seed:tiny:7
	e3-export --ply a.ply --mask sky,skies m.e3 2>err
	grep -qx "e3-export: --mask skies: the stream has no mask of this class: it has person; e3-mask makes them" err
	e3-mask -q --from person --class person f.e3 | e3-cat --take 1 | e3-infer -q --model seed:tiny:7 --no-evict | e3-export --ply b.ply --mask x 2>err
	grep -qx "e3-export: --mask x: the stream has no mask of this class: it has person; e3-mask makes them" err
	fails 2 "expected names of classes, separated by commas, got 'a,,b'" -- e3-export --ply a.ply --mask a,,b m.e3
}

@test "e3-export --compat upstream resizes a mask without regard to what was cropped, and keeps what is kept in part" {
	portrait seed:tiny:7
	e3-export -q --compat upstream --conf-pct 0 --glb a.glb --mask sky m.e3
	/usr/bin/python3 -B - <<-PY
		import json, struct, sys
		sys.path.insert(0, "$ROOT/tests")
		import numpy as np
		from e3read import stream
		from mask_check import resize_bytes
		preds, masks = [[x for k, x in stream("m.e3") if k == kind and x.get("class", "sky") == "sky"] for kind in ("pred", "mask")]
		want = sum(int((resize_bytes(255 - k["mask"], p["w"], p["h"]) > 0).sum()) for p, k in zip(preds, masks))
		data = open("a.glb", "rb").read()
		doc = json.loads(data[20:20 + struct.unpack("<I", data[12:16])[0]])
		points = [doc["accessors"][p["attributes"]["POSITION"]]["count"] for m in doc["meshes"] for p in m["primitives"] if p.get("mode", 4) == 0]
		print(f"# {points} points, {want} of {sum(p['w'] * p['h'] for p in preds)} are kept")
		assert points == [want] and 0 < want < sum(p["w"] * p["h"] for p in preds)
	PY
}

@test "what belongs together" {
	usage() { fails 2 "$1" -- e3-mask "${@:2}" </dev/null; }
	usage "where do masks come from? give --sky, --onnx or --from"
	usage "one at a time" --sky --from x --class a
	usage "--onnx: needs --classes" --onnx x
	usage "--from: needs --class NAME" --from x
	usage "--sky: has no use for --classes" --sky --classes a=0
	usage "--from: has no use for --threads" --from x --class a --threads 2
	usage "--onnx: has no use for --compat upstream" --onnx x --classes a=0 --compat upstream
	usage "--onnx: has no use for --class" --onnx x --classes a=0 --class a
	usage "option --classes: expected NAME=INDEX, got 'a'" --onnx x --classes a
	usage "option --classes: expected a name of 1 to 63 bytes" --onnx x --classes =1
	usage "--class: expected a name of 1 to 63 bytes" --from m --class $'\377'
	usage "option --classes: a: given twice" --onnx x --classes a=1,a=2
	usage "option --mean: expected three numbers" --onnx x --classes a=1 --mean 1,2
	usage "too many operands: b; e3-mask reads one stream" --sky m.onnx a b
}
