#!/bin/bash
# Makes the pictures of this folder: what e3-decode gives beside what FFmpeg's filters and players give. Usage: make.sh [DIR] in
# the project's root after make; needs ffmpeg with zscale, x265 and libplacebo (with any
# Vulkan driver), libheif-examples and python3-pil.
set -eu
out=${1:-tests/data/looks}
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
PATH=$PWD/${B:-build}/bin:$PATH
ff() { ffmpeg -nostdin -v error -y "$@"; }
e3() { e3-decode -q --all --max-frames 1 --png "$t/$1" "${@:2}" && mv "$t/$1/000000.png" "$t/$1.png"; }

# A rendered room of 720 x 540, and what its lamps and windows are in HDR: white is 203 cd/m2, what is bright goes on to 1000.
e3-scene -q --seed 7 --frames 1 --noise 0 --size 720x540 -o "$t/scene.e3"
/usr/bin/python3 -B - "$t" <<'PY'
import sys
sys.path.insert(0, "tests")
import numpy as np, e3read
from PIL import Image
rgb = [m["rgb"] for k, m in e3read.stream(sys.argv[1] + "/scene.e3") if k == "frame"][0]
Image.fromarray(rgb).save(sys.argv[1] + "/scene.png")
light = (rgb / 255.0) ** 2.4                      # BT.1886
most = light.max(-1, keepdims=True)
light *= 203 * (1 + 4 * np.clip((most - 0.5) / 0.5, 0, 1) ** 2)  # cd/m2
b709 = np.array([[.6274, .3293, .0433], [.0691, .9195, .0114], [.0164, .0880, .8956]])
light = np.clip(light @ b709.T, 0, 1000)
p = (light / 10000) ** 0.1593017578125
pq = ((0.8359375 + 18.8515625 * p) / (1 + 18.6875 * p)) ** 78.84375
scene = light / 1000
y = (scene @ [.2627, .678, .0593])[..., None]
scene = scene * np.maximum(y, 1e-6) ** (1 / 1.2 - 1)             # inverse OOTF of HLG
hlg = np.where(scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073)
for name, code in (("pq", pq), ("hlg", hlg)):
    np.clip(code[..., [1, 2, 0]] * 1023 + 0.5, 0, 1023).astype("<u2").transpose(2, 0, 1).tofile("%s/%s.raw" % (sys.argv[1], name))
PY
for k in pq:smpte2084 hlg:arib-std-b67; do
	ff -f rawvideo -pix_fmt gbrp10le -s 720x540 -i "$t/${k%%:*}.raw" -vf \
		"setparams=color_primaries=bt2020:color_trc=${k##*:}:colorspace=gbr:range=pc,zscale=m=2020_ncl:r=limited,format=yuv420p10le" \
		-c:v libx265 -x265-params log-level=error:crf=8 "$t/${k%%:*}.mp4"
	e3 "${k%%:*}-e3" "$t/${k%%:*}.mp4"
	e3 "${k%%:*}-as-it-is" --no-tonemap "$t/${k%%:*}.mp4"
	ff -i "$t/${k%%:*}.mp4" -vf "zscale=t=linear:npl=203:agamma=0,format=gbrpf32le,zscale=p=bt709,tonemap=mobius:param=0.3:desat=0:peak=4.926108,zscale=t=bt709:r=full:agamma=0,format=gbrp" "$t/${k%%:*}-ffmpeg.png"
	ff -init_hw_device vulkan -i "$t/${k%%:*}.mp4" -vf "format=yuv420p10,hwupload,libplacebo=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv:tonemapping=bt.2390:peak_detect=0:format=yuv420p10,hwdownload,format=yuv420p10,scale=in_color_matrix=bt709:flags=accurate_rnd,format=rgb24" "$t/${k%%:*}-libplacebo.png"
done

# Anamorphic, as widescreen DV: 16:9 stored in 720 x 576.
ff -i "$t/scene.png" -vf "crop=720:405,scale=720:576,setsar=64/45" -c:v mpeg2video -q:v 2 "$t/wide.ts"
e3 wide-stored --no-square "$t/wide.ts"
e3 wide-e3 "$t/wide.ts"
ff -i "$t/wide.ts" -frames:v 1 -vf "scale=iw*sar:ih:flags=bicubic,setsar=1" "$t/wide-ffmpeg.png"

# A phone held upright: stored on its side, with a rotation.
ff -i "$t/scene.png" -vf "crop=300:533,transpose=2,scale=1920:1080" -c:v libx264 -qp 10 -pix_fmt yuv420p "$t/side.mp4"
ff -i "$t/side.mp4" -c copy -metadata:s:v rotate=270 "$t/phone.mp4"
e3 phone-crop --fit 518 "$t/phone.mp4"
e3 phone-long --fit 518 --fit-mode long "$t/phone.mp4"
ff -i "$t/phone.mp4" -frames:v 1 -vf "scale=-2:518:flags=bicubic" "$t/phone-ffmpeg.png"

# A picture as iPhones take it: HEVC in HEIF.
heif-enc -q 70 "$t/scene.png" -o "$t/photo.heic" >/dev/null
e3 heic-e3 "$t/photo.heic"
heif-convert "$t/photo.heic" "$t/heic-heif.png" >/dev/null

/usr/bin/python3 -B - "$t" "$out" <<'PY'
import sys
import numpy as np
from PIL import Image, ImageDraw
def sheet(name, width, *parts):
    ims = [Image.open("%s/%s.png" % (sys.argv[1], p)).convert("RGB") for p, label in parts]
    ims = [i.resize((round(width * i.width / max(i.width for i in ims)), round(width * i.height / max(i.width for i in ims))), Image.LANCZOS) for i in ims]
    to = Image.new("RGB", (sum(i.width for i in ims) + 4 * (len(ims) - 1), max(i.height for i in ims) + 14), "white")
    x = 0
    for i, (p, label) in zip(ims, parts):
        to.paste(i, (x, 14))
        ImageDraw.Draw(to).text((x + 2, 1), label, fill="black")
        x += i.width + 4
    to.quantize(200, dither=Image.Dither.NONE).save("%s/%s.png" % (sys.argv[2], name), optimize=True)
def off(a, b):
    x, y = (Image.open("%s/%s.png" % (sys.argv[1], p)).convert("RGB") for p in (a, b))
    d = abs(np.asarray(x).astype(int) - np.asarray(y.resize(x.size, Image.BICUBIC)).astype(int))
    print("%s, %s: mean difference %.2f, 99 %% within %d of 255" % (a, b, d.mean(), np.percentile(d, 99)))
for p in ("hlg", "pq"):
    off(p + "-e3", p + "-ffmpeg")
    off(p + "-e3", p + "-libplacebo")
off("heic-e3", "heic-heif")
off("heic-e3", "scene")
off("wide-e3", "wide-ffmpeg")
off("phone-long", "phone-ffmpeg")
for k in ("pq", "hlg"):
    sheet("hdr-" + k, 180, (k + "-as-it-is", "--no-tonemap"), (k + "-e3", "e3-decode"), (k + "-ffmpeg", "zscale, tonemap=mobius"), (k + "-libplacebo", "libplacebo, BT.2390"))
sheet("square", 256, ("wide-stored", "--no-square"), ("wide-e3", "e3-decode"), ("wide-ffmpeg", "ffmpeg scale=iw*sar:ih"))
sheet("heic", 200, ("scene", "before it was coded"), ("heic-e3", "e3-decode"), ("heic-heif", "heif-convert"))
sheet("portrait", 200, ("phone-crop", "--fit 518"), ("phone-long", "--fit-mode long"), ("phone-ffmpeg", "ffmpeg"))
PY
