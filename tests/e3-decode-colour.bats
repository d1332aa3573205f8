#!/usr/bin/env bats
# e3-decode: HDR, wide gamuts and colours that swscale does not know, beside FFmpeg's zscale and tonemap filters.
load common

# draw TRANSFER FORMAT SECONDS ARG...: encodes a test picture whose R'G'B' are coded so, with primaries of BT.2020
draw() {
	local coded="format=gbrp10le,setparams=color_primaries=bt2020:color_trc=$1:colorspace=gbr:range=pc,zscale=m=2020_ncl:r=limited"
	ffmpeg -nostdin -v error -y -f lavfi -i "testsrc2=s=160x90:r=5:d=$3" -vf "$coded,format=$2" "${@:4}"
}

# mapped PEAK: what doc/formats.md 5.5 says, as FFmpeg's filters
mapped() {
	local peak
	peak=$(/usr/bin/python3 -c "print('%.6f' % ($1 / 203))")
	echo "zscale=t=linear:npl=203:agamma=0,format=gbrpf32le,zscale=p=bt709,tonemap=mobius:param=0.3:desat=0:peak=$peak," \
		"zscale=t=bt709:r=full:agamma=0,format=gbrp" | tr -d ' '
}

# near STREAM FILE MEAN SHARE: the stream's frames against raw RGB: mean difference, and the share of pixels off by more than 2
near() {
	PYTHONPATH=$ROOT/tests /usr/bin/python3 -B - "$@" <<-'PY'
		import sys, numpy as np, e3read
		got = np.stack([m["rgb"] for k, m in e3read.stream(sys.argv[1]) if k == "frame"]).astype(int)
		want = np.fromfile(sys.argv[2], np.uint8).reshape(got.shape).astype(int)
		d = abs(got - want)
		mean, share = d.mean(), (d.max(-1) > 2).mean()
		print("%d frames: mean %.3f, largest %d, off by more than 2: %.4f" % (len(got), mean, d.max(), share))
		raise SystemExit(int(mean > float(sys.argv[3]) or share > float(sys.argv[4])))
	PY
}

by_ffmpeg() { ffmpeg -nostdin -v error -y -i "$1" -vf "$2" -pix_fmt rgb24 -f rawvideo "$T/want"; }

@test "PQ, HLG and BT.2020 are mapped as FFmpeg's filters map them, with a note" {
	local name transfer
	while read -r name transfer; do
		draw "$transfer" yuv444p10le 0.4 -c:v ffv1 "$T/$name.mkv"
		e3-decode --all -o "$T/s" "$T/$name.mkv" 2>"$T/err"
		grep -q "HDR (PQ or HLG): tone-mapped to SDR" "$T/err"
		by_ffmpeg "$T/$name.mkv" "$(mapped 1000)"
		near "$T/s" "$T/want" 0.1 0.001
		e3-decode --all --no-tonemap -o "$T/s" "$T/$name.mkv" 2>"$T/err"
		grep -q "HDR (PQ or HLG): sent without tone mapping" "$T/err"
		by_ffmpeg "$T/$name.mkv" zscale=m=gbr:r=full,format=gbrp
		near "$T/s" "$T/want" 1 0.02
	done <<-EOF
		pq smpte2084
		hlg arib-std-b67
	EOF
	draw bt2020-10 yuv444p10le 0.4 -c:v ffv1 "$T/wide.mkv"
	e3-decode --all -o "$T/s" "$T/wide.mkv" 2>"$T/err"
	grep -q "a wide gamut: converted to BT.709" "$T/err"
	by_ffmpeg "$T/wide.mkv" zscale=t=linear,format=gbrpf32le,zscale=p=bt709,zscale=t=bt709:r=full,format=gbrp
	near "$T/s" "$T/want" 0.1 0.001
}

@test "HDR10: the peak is that of the metadata, of the first frame, in HEVC of 4:2:0" {
	local x265=log-level=error:hdr10=1:repeat-headers=1:crf=4:max-cll=4000,400
	x265+=":colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
	x265+=":master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50)"
	draw smpte2084 yuv420p10le 0.6 -c:v libx265 -x265-params "$x265" "$T/hdr10.mp4"
	ffmpeg -v error -i "$T/hdr10.mp4" -c copy "$T/hdr10.mkv"
	by_ffmpeg "$T/hdr10.mp4" "$(mapped 4000)"
	for kind in mp4 mkv; do
		e3-decode --all -o "$T/s" "$T/hdr10.$kind" 2>/dev/null
		near "$T/s" "$T/want" 0.5 0.04 # chroma at edges is interpolated otherwise
	done
	by_ffmpeg "$T/hdr10.mp4" "$(mapped 1000)"
	run near "$T/s" "$T/want" 0.5 0.04
	[ "$status" -eq 1 ]
}

@test "HDR: a peak that only the container states" {
	draw smpte2084 yuv420p10le 0.2 -chroma_sample_location left -c:v ffv1 "$T/plain.mkv"
	/usr/bin/python3 - "$T/plain.mkv" "$T/light.mkv" <<-'PY'
		import sys # range and place of chroma make room for MaxCLL 4000 and MaxFALL 200 of Matroska
		b = open(sys.argv[1], "rb").read()
		at = b.index(b"\x55\xb9\x81")
		assert b[at + 4:at + 7] == b"\x55\xb7\x81" and b[at + 8:at + 11] == b"\x55\xb8\x81", b[at:at + 12]
		open(sys.argv[2], "wb").write(b[:at] + bytes.fromhex("55bc820fa055bd81c8ec8100") + b[at + 12:])
	PY
	e3-decode --all -o "$T/s" "$T/light.mkv" 2>/dev/null
	by_ffmpeg "$T/plain.mkv" "$(mapped 4000)"
	near "$T/s" "$T/want" 0.5 0.04
	e3-decode --all -o "$T/s" "$T/plain.mkv" 2>/dev/null
	run near "$T/s" "$T/want" 0.5 0.04
	[ "$status" -eq 1 ]
}

@test "HDR pictures (AVIF) are mapped as videos are" {
	draw smpte2084 yuv444p12le 0.2 -frames:v 1 -c:v libaom-av1 -still-picture 1 -crf 0 -cpu-used 8 "$T/still.avif"
	draw smpte2084 yuv444p12le 0.2 -frames:v 1 -c:v ffv1 "$T/still.mkv"
	by_ffmpeg "$T/still.mkv" "$(mapped 1000)"
	e3-decode -o "$T/s" "$T/still.avif" 2>"$T/err"
	grep -q "HDR (PQ or HLG): tone-mapped to SDR" "$T/err"
	near "$T/s" "$T/want" 0.1 0.001
	by_ffmpeg "$T/still.mkv" zscale=m=gbr:r=full,format=gbrp
	e3-decode --no-tonemap -o "$T/s" "$T/still.avif" 2>"$T/err"
	grep -q "HDR (PQ or HLG): sent without tone mapping" "$T/err"
	near "$T/s" "$T/want" 1 0.02
}

@test "grey of 10 to 16 bits and YCgCo in files" {
	local format
	for format in gray gray10le gray12le gray16le; do
		ffmpeg -v error -y -f lavfi -i "color=s=256x16:r=1:d=1,format=gray16le,geq=lum=X*257" -pix_fmt "$format" -c:v ffv1 "$T/grey.mkv"
		e3-decode --all -o "$T/s" "$T/grey.mkv"
		/usr/bin/python3 -c 'import sys; sys.stdout.buffer.write(bytes(x for y in range(16) for x in range(256) for c in range(3)))' >"$T/want"
		near "$T/s" "$T/want" 0.6 0 || { echo "$format"; return 1; }
	done
	local kind
	for kind in png tif jp2 pgm; do # pictures too
		ffmpeg -nostdin -v error -y -f lavfi -i "color=s=256x16:r=1:d=1,format=gray16le,geq=lum=X*257" -frames:v 1 -update 1 "$T/grey.$kind"
		e3-decode -o "$T/s" "$T/grey.$kind"
		near "$T/s" "$T/want" 1 0 || { echo "$kind"; return 1; }
	done
	e3-decode --compat upstream -o "$T/s" "$T/grey.png"
	run near "$T/s" "$T/want" 1 0
	[ "$status" -eq 1 ]
	/usr/bin/python3 -c 'import sys # (200,100,50) in YCgCo of 8 bits, full range
y, cg, co = 50 + 62.5, 50 - 62.5 + 128, 75 + 128
for v in (y, cg, co): sys.stdout.buffer.write(bytes([round(v)]) * (64 * 64))' >"$T/raw"
	ffmpeg -v error -f rawvideo -pix_fmt yuv444p -s 64x64 -i "$T/raw" -vf setparams=range=pc:colorspace=ycgco -c:v ffv1 "$T/ycgco.mkv"
	e3-decode --all -o "$T/s" "$T/ycgco.mkv"
	/usr/bin/python3 -c 'import sys; sys.stdout.buffer.write(bytes([200, 100, 50]) * 4096)' >"$T/want"
	near "$T/s" "$T/want" 1 0
}

@test "Dolby Vision profile 5 is refused by name; --no-tonemap sends it" {
	draw smpte2084 yuv420p10le 0.4 -c:v libx265 -x265-params log-level=error -tag:v hvc1 "$T/dv.mp4"
	/usr/bin/python3 - "$T/dv.mp4" <<-'PY'
		import sys
		b = open(sys.argv[1], "rb").read()
		at = b.index(b"colrnclx") # a box of the same size, which players of the base layer skip
		open(sys.argv[1], "r+b").write(b[:at] + b"dvcC" + bytes([1, 0, 5 << 1, 5, 0]) + bytes(6) + b[at + 15:])
	PY
	fails 1 "Dolby Vision profile 5" -- e3-decode --all -o "$T/s" "$T/dv.mp4"
	e3-decode --all --no-tonemap -o "$T/s" "$T/dv.mp4"
}
