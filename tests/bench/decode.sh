#!/bin/bash
# decode.sh: what e3-decode --fit 518 takes of H.264, beside what ffmpeg takes to decode and scale the same frames with its own
# bicubic filter, to RGB and to the video's own YUV 4:2:0. The fastest of ROUNDS (3) rounds, in which the programs take turns, so
# that what else runs on the machine meets them alike. Prints a table; asserts nothing.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
export PATH=${B:-build}/bin:$PATH
if ! ffmpeg -v error -h encoder=libx264 >/dev/null 2>&1; then
	echo "e3-decode --fit 518 of 1080p and 4K: left out: no ffmpeg with libx264"
	exit 0
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

TIMEFORMAT='%R %U %S'
taken() { { time "$@" >/dev/null </dev/null; } 2>&1 | awk '{ print $1, $2 + $3 }'; } # taken COMMAND...: seconds, and of processors
ours() { e3-decode -q --all --fit 518 "$out/clip.mp4"; }
theirs() { ffmpeg -v error -i "$out/clip.mp4" -vf "scale=518:294:flags=bicubic" -pix_fmt "$1" -f rawvideo -; }

printf '%-12s %10s %14s %14s %14s %8s %8s\n' "--fit 518" frames/s "e3-decode" "ffmpeg RGB" "ffmpeg 4:2:0" "to RGB" "to 4:2:0"
measure() { # measure NAME SIZE FRAMES
	ffmpeg -v error -f lavfi -i "testsrc2=size=$2:rate=30" -frames:v "$3" -c:v libx264 -preset veryfast -pix_fmt yuv420p -y "$out/clip.mp4" || return 1
	for _ in $(seq "${ROUNDS:-3}"); do
		echo "$(taken ours) $(taken theirs rgb24) $(taken theirs yuv420p)"
	done | awk -v name="$1" -v n="$3" '
		NR == 1 || $1 < wall { wall = $1 }
		NR == 1 || $2 < e3 { e3 = $2 }
		NR == 1 || $4 < rgb { rgb = $4 }
		NR == 1 || $6 < yuv { yuv = $6 }
		END {
			printf "%-12s %10.1f %11.2f ms %11.2f ms %11.2f ms %8.2f %8.2f\n", name, n / wall, 1e3 * e3 / n, 1e3 * rgb / n, 1e3 * yuv / n, e3 / rgb, e3 / yuv
		}'
}
measure 1080p 1920x1080 300
measure 4K 3840x2160 100
echo "(processor time a frame, $(nproc) cores; the last columns: e3-decode's time as a part of ffmpeg's)"

# HDR of 10 bits (HLG, HEVC) to SDR, beside the same by ffmpeg's filters, and without tone mapping.
hdr=zscale=t=linear:npl=203:agamma=0,format=gbrpf32le,zscale=p=bt709,tonemap=mobius:param=0.3:desat=0:peak=4.926108
hdr+=,zscale=t=bt709:r=full:agamma=0,format=gbrp
if ffmpeg -v error -f lavfi -i testsrc2=size=1920x1080:rate=30 -frames:v 60 -vf \
	format=gbrp10le,setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=gbr:range=pc,zscale=m=2020_ncl:r=limited,format=yuv420p10le \
	-c:v libx265 -preset ultrafast -x265-params log-level=error -y "$out/hdr.mp4" 2>/dev/null; then
	mapped() { e3-decode -q --all --fit 518 "$@" "$out/hdr.mp4"; }
	filters() { ffmpeg -v error -i "$out/hdr.mp4" -vf "$hdr,scale=518:294:flags=bicubic" -pix_fmt rgb24 -f rawvideo -; }
	for _ in $(seq "${ROUNDS:-3}"); do
		echo "$(taken mapped) $(taken mapped --no-tonemap) $(taken filters)"
	done | awk '
		NR == 1 || $1 < wall { wall = $1 }
		NR == 1 || $2 < with { with = $2 }
		NR == 1 || $4 < without { without = $4 }
		NR == 1 || $6 < theirs { theirs = $6 }
		END {
			printf "HDR, 1080p: %.1f frames/s, %.2f ms a frame (%.2f without tone mapping); ffmpeg, zscale and tonemap: %.2f ms\n", 60 / wall, 1e3 * with / 60, 1e3 * without / 60, 1e3 * theirs / 60
		}'
fi
