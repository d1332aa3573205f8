#!/usr/bin/env bats
# e3-decode and e3-infer: portrait pictures, pixels that are not square, and pictures that are too large: what becomes of their shape.
load common

# facts STREAM: of each frame and prediction its size, that of its source, and fit
facts() {
	PYTHONPATH=$ROOT/tests /usr/bin/python3 -B - "$1" <<-'PY'
		import sys, e3read
		for k, m in e3read.stream(sys.argv[1]):
		    if k in ("frame", "pred"):
		        print(k, "%dx%d of %dx%d" % (m["w"], m["h"], m["src_w"], m["src_h"]), *("%.4f" % v for v in m["fit"]))
	PY
}
infer() { e3-infer --device cpu --model seed:tiny:7 --no-evict "$@"; }

@test "portrait: crop says how much it cuts, long keeps all, in e3-decode and e3-infer alike" {
	ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=90x160:r=4:d=0.5 -pix_fmt yuv420p -c:v libx264 "$T/tall.mp4"
	e3-decode --all --fit 70 "$T/tall.mp4" -o "$T/s" 2>"$T/err"
	[ "$(grep -c -- "--fit-mode crop: 44 % of each tall picture is cut off above and below; --fit-mode long keeps all" "$T/err")" -eq 1 ]
	e3-decode --all --fit 70 --fit-mode long "$T/tall.mp4" -o "$T/s" 2>"$T/err"
	[ ! -s "$T/err" ]
	facts "$T/s" | grep -qx "frame 42x70 of 90x160 0.4667 0.4375 0.0000 0.0000"

	e3-decode --step 2 --fit-mode long "$T/tall.mp4" -o "$T/s518"
	facts "$T/s518" | grep -q "^frame 294x518 of 90x160 "

	e3-decode --all "$T/tall.mp4" -o "$T/source"
	infer "$T/source" -o "$T/p" 2>"$T/err"
	[ "$(grep -c -- "--fit-mode crop: 44 % of each tall picture is cut off above and below; --fit-mode long keeps all" "$T/err")" -eq 1 ]
	facts "$T/p" | grep -q "pred 70x70 of 90x160"
	infer --fit-mode long "$T/source" -o "$T/p1" 2>"$T/err"
	[ ! -s "$T/err" ]
	infer "$T/s" -o "$T/p2" # already that size: not fitted again
	facts "$T/p1" | grep -qx "pred 42x70 of 90x160 0.4667 0.4375 0.0000 0.0000"
	facts "$T/p2" >"$T/f2"
	facts "$T/p1" | diff - "$T/f2"
	/usr/bin/python3 -B "$ROOT/tests/stream_equal.py" "$T/p1" "$T/p2" pred
}

@test "portrait: intrinsics of the source lead a pixel of the source back to where its depth was" {
	e3-scene --seed 7 --frames 2 --size 96x160 -o "$T/scene"
	infer --fit-mode long "$T/scene" -o "$T/p"
	e3-export --npz "$T/o.npz" "$T/p"
	/usr/bin/python3 -B - "$T/o.npz" <<-'PY'
		import sys, numpy as np
		z = np.load(sys.argv[1])
		k, e, d = z["intrinsic"][1], z["extrinsic"][1], z["depth"][1][..., 0]
		h, w = d.shape
		assert (w, h) == (42, 70), (w, h)
		v, u = np.mgrid[:h, :w] + 0.5 # the first pixel's centre
		x = np.stack([(u - k[0, 2]) * d / k[0, 0], (v - k[1, 2]) * d / k[1, 1], d], -1)
		world = (x - e[:, 3]) @ e[:, :3]
		assert np.allclose(world, z["world_points_from_depth"][1], atol=1e-4)
		sx, sy = w / 96, h / 160 # source pixels: fx_src = fx / sx, of doc/formats.md 4.1
		fx, fy, cx, cy = k[0, 0] / sx, k[1, 1] / sy, k[0, 2] / sx, k[1, 2] / sy
		assert abs(cx - 48) < 1e-4 and abs(cy - 80) < 1e-4
		seen = world @ e[:, :3].T + e[:, 3]
		assert np.allclose(fx * seen[..., 0] / seen[..., 2] + cx, u / sx, atol=1e-2)
		assert np.allclose(fy * seen[..., 1] / seen[..., 2] + cy, v / sy, atol=1e-2)
	PY
}

@test "a session that was saved with --fit-mode long keeps it" {
	e3-decode --all --max-frames 3 "$DEMO/clip.mp4" -o "$T/s"
	infer --fit-mode long --save-cache "$T/c" "$T/s" -o "$T/p"
	fails 1 "--fit-mode long" -- infer --load-cache "$T/c" --fit-mode pad "$T/s" -o "$T/q"
	infer --load-cache "$T/c" --continue "$T/s" -o "$T/q"
}

@test "the refusals of mixed shapes and of huge pictures name what helps" {
	ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=96x64:d=0.1 -frames:v 1 "$T/1.png"
	ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=64x96:d=0.1 -frames:v 1 "$T/2.png"
	e3-decode "$T/1.png" "$T/2.png" -o "$T/s"
	fails 1 "all frames of a stream must have one shape; --fit-mode pad gives it" -- infer "$T/s" -o "$T/p"
	infer --fit-mode pad "$T/s" -o "$T/p"
	{ echo P5 12000 9000 255; head -c 108000000 /dev/zero; } >"$T/huge.pgm"
	fails 1 "a picture of 12000 × 9000: 108 megapixels; a message holds 89: --fit 518 sends it smaller" -- e3-decode "$T/huge.pgm" -o "$T/s"
	e3-decode --fit 518 "$T/huge.pgm" -o "$T/s"
	facts "$T/s" | grep -q "frame 518x392 of 12000x9000"
}

# wide ASPECT SIZE FILE ARG...: a video with a circle in square pixels, stored with pixels of this aspect
wide() {
	ffmpeg -nostdin -v error -y -f lavfi -i testsrc=s=160x120:r=4:d=0.5 -vf "scale=$2,setsar=$1" "${@:4}" "$3"
}

@test "pixels that are not square are made square, in width, from container and codec" {
	local file
	wide 4/3 120x120 "$T/hdv.mp4" -c:v libx264 -pix_fmt yuv420p # as HDV: 120 columns for 160
	wide 8/9 180x120 "$T/ntsc.mp4" -c:v libx264 -pix_fmt yuv420p
	wide 4/3 120x120 "$T/ffv1.mkv" -c:v ffv1 -pix_fmt yuv444p # in the container only
	wide 4/3 120x120 "$T/mpeg.ts" -c:v mpeg2video -pix_fmt yuv420p # in the codec only
	for file in hdv.mp4 ntsc.mp4 ffv1.mkv mpeg.ts; do
		e3-decode --all --max-frames 1 -o "$T/s" "$T/$file" 2>"$T/err"
		facts "$T/s" | grep -qx "frame 160x120 of 160x120 1.0000 1.0000 0.0000 0.0000" || { facts "$T/s"; return 1; }
		grep -qE "its pixels are not square: [0-9]+ × 120 become 160 × 120" "$T/err"
	done
	e3-decode --all --max-frames 1 --no-square -o "$T/s" "$T/hdv.mp4" 2>"$T/err"
	facts "$T/s" | grep -q "frame 120x120 of 120x120"
	[ ! -s "$T/err" ]
	e3-decode --all --max-frames 1 --matrix opencv -o "$T/s" "$T/hdv.mp4"
	facts "$T/s" | grep -q "frame 120x120 of 120x120"
	wide 100/1 120x120 "$T/bad.mkv" -c:v ffv1
	e3-decode --all --max-frames 1 -o "$T/s" "$T/bad.mkv"
	facts "$T/s" | grep -q "frame 120x120 of 120x120"
}

@test "square pixels: Pillow's bicubic of the stored picture, before rotation and fitting" {
	wide 4/3 120x90 "$T/wide.mp4" -c:v libx264 -pix_fmt yuv420p
	e3-decode --all --max-frames 1 --no-square -o "$T/stored" "$T/wide.mp4"
	e3-decode --all --max-frames 1 -o "$T/square" "$T/wide.mp4"
	e3-decode --all --max-frames 1 --fit 70 -o "$T/fitted" "$T/wide.mp4"
	ffmpeg -nostdin -v error -i "$T/wide.mp4" -c copy -metadata:s:v rotate=90 "$T/turned.mp4"
	e3-decode --all --max-frames 1 -o "$T/turned" "$T/turned.mp4"
	PYTHONPATH=$ROOT/tests /usr/bin/python3 -B - "$T" <<-'PY'
		import sys, numpy as np, e3read
		from PIL import Image
		def frame(name): return [m for k, m in e3read.stream(sys.argv[1] + "/" + name) if k == "frame"][0]
		stored, square, fitted, turned = (frame(n) for n in ("stored", "square", "fitted", "turned"))
		want = Image.fromarray(stored["rgb"]).resize((160, 90), Image.BICUBIC)
		assert np.array_equal(square["rgb"], want)
		assert np.array_equal(fitted["rgb"], want.resize((70, 42), Image.BICUBIC))
		assert [round(v, 6) for v in fitted["fit"]] == [round(70 / 160, 6), round(42 / 90, 6), 0, 0] and fitted["src_w"] == 160
		assert turned["rot"] in (90, 270) and (turned["w"], turned["h"]) == (90, 160), (turned["w"], turned["h"])
		assert np.array_equal(np.rot90(turned["rgb"], 1 if turned["rot"] == 90 else -1), want)
	PY
}
