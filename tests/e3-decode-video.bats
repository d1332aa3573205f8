#!/usr/bin/env bats
# e3-decode: videos as they are: joined, cut, without rate or key frame, of single fields. What is sent is what the ffmpeg program decodes,
# the announced number is right, and --start gives what reading from the beginning gives.
load common

odd() { /usr/bin/python3 -B "$ROOT/tests/odd_videos.py" "$@"; }

# Clips of 3 s at 25 frames/s and 64x48, with a group of pictures each 0.8 s.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	local make=(ffmpeg -v error -y -f lavfi -i testsrc2=s=64x48:r=25:d=3 -pix_fmt yuv420p) hevc=keyint=20:bframes=3:log-level=none
	"${make[@]}" -c:v libx265 -x265-params $hevc open.ts
	"${make[@]}" -c:v libx265 -x265-params $hevc:open-gop=0:radl=2 radl.ts
	"${make[@]}" -c:v mpeg4 -bf 2 -g 20 mpeg4.ts
	"${make[@]}" -c:v mpeg2video -bf 2 -g 20 mpeg2.ts
	"${make[@]}" -c:v libx264 -bf 0 -x264-params intra-refresh=1:keyint=20 refresh.mp4
	"${make[@]}" -c:v libx264 -bf 3 -g 20 h264.ts
	"${make[@]}" -c:v libvpx-vp9 -cpu-used 8 -deadline realtime -g 20 -lag-in-frames 16 -auto-alt-ref 1 vp9.webm
	ffmpeg -v error -i h264.ts -c copy h264.mp4
	ffmpeg -v error -i open.ts -c copy -tag:v hvc1 open.mp4
}

prepare() {
	clips=$BATS_FILE_TMPDIR
}

# decode ARGS: into $T/show, a line on the stream and one on each frame; requires the announced number to have come
decode() {
	e3-decode "$@" >"$T/s" 2>"$T/err" || { cat "$T/err"; return 1; }
	/usr/bin/python3 -B "$ROOT/tests/frames.py" "$T/s" >"$T/show"
	local frames n
	frames=$(sed -nE '1s/frames=(\S+) .*/\1/p' "$T/show") n=$(sed -nE '1s/.* n=//p' "$T/show")
	[ "$frames" = "$n" ] || { echo "$*: announced $frames, sent $n"; cat "$T/err"; return 1; }
}
sent_is() { sed -n 1p "$T/show" | grep -q " n=$1$" || { echo "expected $1: $(sed -n 1p "$T/show")"; cat "$T/err"; return 1; }; }
says() { grep -q "$1" "$T/err" || { echo "expected: $1"; cat "$T/err"; return 1; }; }
lacks() { if grep -q "$1" "$T/err"; then echo "not expected: $1"; cat "$T/err"; return 1; fi; }
quiet() { [ ! -s "$T/err" ] || { cat "$T/err"; return 1; }; }
times_rise() { sed 1d "$T/show" | awk 'NR > 1 && $2 <= t { exit 1 } { t = $2 }'; }
in_ffmpeg() { ffmpeg -nostdin -v error -i "$1" -vsync passthrough -f framemd5 - 2>/dev/null | grep -vc '^#'; }

@test "--start gives what reading from the beginning gives, numbers too, whatever the codec and container" {
	local f start
	for f in open.ts radl.ts mpeg4.ts mpeg2.ts refresh.mp4 vp9.webm; do
		decode --all "$clips/$f"
		sent_is 75
		quiet
		sed 1d "$T/show" >"$T/all"
		for start in 1.64 2.4; do
			decode -v --all --start $start "$clips/$f"
			sed 1d "$T/show" >"$T/part"
			awk -v s=$start '$2 + 1e-6 >= s' "$T/all" | diff - "$T/part" || { echo "$f from $start"; return 1; }
			case $f in # by a seek, or by decoding all frames before it
				refresh.mp4) says 'decoding from the beginning' ;;
				*) lacks 'decoding from the beginning' ;;
			esac
		done
	done
}

@test "a clock that starts again: every frame comes, times go on, and --start works" {
	local f
	for f in h264 mpeg2; do
		cat "$clips/$f.ts" "$clips/$f.ts" >"$T/joined.ts"
		decode --all "$T/joined.ts"
		sent_is 150
		times_rise
		says 'its clock starts again 1 time'
		sed 1d "$T/show" >"$T/all"
		[ "$(tail -1 "$T/all" | cut -d' ' -f2)" = 5.960 ]
		decode --all --start 4.5 "$T/joined.ts"
		awk '$2 + 1e-6 >= 4.5' "$T/all" | diff - <(sed 1d "$T/show")
		decode "$T/joined.ts"
		sent_is 12
		decode --sampling time "$T/joined.ts"
		sent_is 12
		[ "$(cat "$T/joined.ts" | e3-decode --all - 2>/dev/null | e3-dump | grep -c '^frame')" -eq 150 ]
	done
}

@test "frames that take no time, whose stamps are not in the order of the frames: --start announces what comes" {
	odd still 40 5 "$clips/h264.mp4" "$T/still.mp4"
	decode --all "$T/still.mp4"
	sent_is 75
	sed 1d "$T/show" >"$T/all"
	decode --all --start 1.6 "$T/still.mp4"
	awk '$2 + 1e-6 >= 1.6' "$T/all" | diff - <(sed 1d "$T/show")
}

@test "frames that change their size, and an mp4 behind another one, are told" {
	ffmpeg -v error -f lavfi -i testsrc2=s=48x32:r=25:d=0.4 -c:v mpeg2video "$T/small.ts"
	cat "$clips/mpeg2.ts" "$T/small.ts" >"$T/sizes.ts"
	decode --all "$T/sizes.ts"
	sent_is "$(in_ffmpeg "$T/sizes.ts")"
	[ "$(grep -c 'the size of its frames changes from 64 × 48 to 48 × 32 at 2.96 s' "$T/err")" -eq 1 ]
	cat "$clips/h264.mp4" "$clips/h264.mp4" >"$T/twice.mp4"
	decode --all "$T/twice.mp4"
	sent_is 75
	says 'another recording comes behind the first in this file and is not read'
	decode --all "$clips/h264.mp4"
	quiet
}

@test "of several video streams the largest is used, no cover picture, and a note says which" {
	ffmpeg -v error -f lavfi -i testsrc2=s=32x24:r=25:d=0.4 -i "$clips/mpeg2.ts" -t 0.4 -map 0 -map 1 -c:v mpeg2video "$T/two.ts"
	decode --all "$T/two.ts"
	grep -q ' 64x48 ' "$T/show"
	says 'has 2 video streams: number 1 (64 × 48) is used'
	decode --all --stream 0 "$T/two.ts"
	grep -q ' 32x24 ' "$T/show"
	quiet
	ffmpeg -v error -f lavfi -i testsrc2=s=320x240 -frames:v 1 "$T/cover.jpg"
	ffmpeg -v error -i "$T/cover.jpg" -i "$clips/h264.mp4" -map 0 -map 1 -c copy -disposition:v:0 attached_pic "$T/cover.mp4"
	decode --all "$T/cover.mp4"
	sent_is 75
	quiet
}

@test "a file without bytes, and raw video without a size, are named" {
	: >"$T/no.mp4"
	fails 1 "reading: $T/no.mp4: empty" -- e3-decode "$T/no.mp4"
	head -c 9216 /dev/zero >"$T/raw.yuv"
	fails 1 "opening: $T/raw.yuv: raw video, whose size has to be stated: input options video_size=WxH" -- e3-decode "$T/raw.yuv"
	decode --all --input-option video_size=64x48 "$T/raw.yuv"
	sent_is 2
}

@test "pictures that only FFmpeg finds are all sent too: behind other bytes on a pipe, by its own patterns" {
	ffmpeg -v error -f lavfi -i testsrc2=s=64x48:r=25:d=0.12 "$T/%d.jpg"
	{ echo 'no picture yet'; cat "$T/1.jpg"; } | e3-decode - -o "$T/s"
	[ "$(e3-dump "$T/s" | grep -c '^frame')" -eq 1 ]
	e3-decode --input-option pattern_type=glob "$T/*.jpg" -o "$T/s"
	[ "$(e3-dump "$T/s" | grep -c '^frame')" -eq 3 ]
}

@test "a recording that states an absurd rate, or none, is sampled by the times of its frames" {
	ffmpeg -v error -f lavfi -i testsrc2=s=64x48:r=30:d=4 -vf "settb=1/1000,setpts='PTS+20*random(1)'" -vsync vfr -enc_time_base 1/1000 -c:v libvpx \
		-cpu-used 8 -f webm - >"$T/rated.webm"
	odd unrated "$T/rated.webm" "$T/no.webm"
	decode "$T/no.webm"
	says 'states 1000.000 frames/s and has [23][0-9.]* on average: that is used'
	sent_is 8
	[ "$(cat "$T/no.webm" | e3-decode - 2>/dev/null | e3-dump | grep -c '^frame')" -eq 8 ]
}

@test "a video begins with its first key frame" {
	ffmpeg -v error -i "$clips/open.mp4" -c copy -bsf:v "noise=drop=lt(n\,10)" -tag:v hvc1 "$T/no.mp4"
	ffmpeg -v error -i "$clips/mpeg4.ts" -c copy -bsf:v "noise=drop=lt(n\,10)" "$T/no.mkv"
	local f n rc
	for f in no.mp4:55 no.mkv:54; do
		n=${f#*:} f=${f%:*}
		decode --all "$T/$f"
		sent_is "$n"
		says 'does not begin with a key frame: [0-9]* frames before the first one left out'
		lacks 'cut off?'
		rc=0
		e3-decode --strict --all "$T/$f" >/dev/null 2>"$T/err" || rc=$?
		[ "$rc" -eq 1 ]
	done
	# Pictures that lead the first one refer to others that were cut off: no decoder shows them.
	ffmpeg -v error -ss 1.7 -i "$clips/open.mp4" -c copy "$T/lead.mkv"
	decode --all "$T/lead.mkv"
	sent_is "$(in_ffmpeg "$T/lead.mkv")"
	lacks 'announced'
}

@test "frames of two field pictures are counted once, in every container" {
	odd fields 30 "$T/f.h264"
	ffmpeg -v error -fflags +genpts -r 50 -i "$T/f.h264" -c copy "$T/f.ts" 2>/dev/null
	ffmpeg -v error -i "$T/f.ts" -c copy "$T/f.mp4" 2>/dev/null
	ffmpeg -v error -i "$T/f.ts" -c copy "$T/f.mkv" 2>/dev/null
	for f in f.h264 f.ts f.mp4 f.mkv; do
		[ "$(in_ffmpeg "$T/$f")" -eq 30 ]
		decode --all "$T/$f"
		sent_is 30
	done
	decode "$T/f.ts" # 25 frames, not 50 fields, a second
	sent_is 2
}

@test "samples of size 0 are nothing that is missing, and a frame that lasts long is no cut" {
	odd empty 10 "$clips/h264.mp4" "$T/empty.mp4"
	decode --all --strict "$T/empty.mp4"
	sent_is "$(in_ffmpeg "$T/empty.mp4")"
	cat "$T/empty.mp4" | e3-decode --all --strict - | e3-dump | grep -c '^frame' | grep -qx "$(in_ffmpeg "$T/empty.mp4")"
	ffmpeg -v error -f lavfi -i testsrc2=s=64x48:r=0.5:d=20 -pix_fmt yuv420p -c:v libx264 "$T/slow.mp4"
	ffmpeg -v error -i "$T/slow.mp4" -c copy "$T/slow.mkv"
	for f in slow.mp4 slow.mkv; do
		decode --all "$T/$f"
		sent_is 10
		quiet
	done
}

@test "on a pipe, boxes of any size may stand before the data of an mp4" {
	for size in 100000 1500000 9000000; do
		odd free "$size" "$clips/h264.mp4" "$T/free.mp4"
		[ "$(cat "$T/free.mp4" | e3-decode --all - | e3-dump | grep -c '^frame')" -eq 75 ]
	done
}

@test "fragments that are there are sent, and an index that is not there is named" {
	ffmpeg -v error -i "$clips/h264.mp4" -c copy -movflags frag_keyframe+empty_moov "$T/frag.mp4"
	head -c $(($(stat -c %s "$T/frag.mp4") * 3 / 4)) "$T/frag.mp4" >"$T/cut.mp4"
	decode --all "$T/cut.mp4"
	sent_is "$(in_ffmpeg "$T/cut.mp4")"
	says "reading: $T/cut.mp4: truncated"
	fails 1 "reading: $T/cut.mp4: truncated: its frames reach to byte" -- e3-decode --strict "$T/cut.mp4"
	head -c 3000 "$clips/h264.mp4" >"$T/no.mp4"
	fails 1 "its index is missing (no moov): the recording was cut off before it was written: repair it" -- e3-decode "$T/no.mp4"
	local rc=0
	cat "$T/no.mp4" | e3-decode - >/dev/null 2>"$T/err" || rc=$?
	[ "$rc" -eq 1 ]
	says 'standard input: its index is missing (no moov)'
	ffmpeg -v error -i "$clips/h264.mp4" -c copy -movflags +faststart "$T/fast.mp4"
	head -c 600 "$T/fast.mp4" >"$T/no.mp4"
	fails 1 "cut off inside its index (moov)" -- e3-decode "$T/no.mp4"
	head -c -1000 "$clips/h264.mp4" >"$T/no.mp4" # the tables of the pictures are cut, their track is there
	fails 1 "cut off inside its index (moov)" -- e3-decode "$T/no.mp4"
}

@test "Matroska, WebM and AVI that lack a few bytes at the end are called cut off, whole and joined ones are not" {
	ffmpeg -v error -i "$clips/h264.mp4" -c copy "$T/whole.mkv"
	ffmpeg -v error -f lavfi -i testsrc2=s=64x48:r=25:d=1 -c:v mjpeg "$T/whole.avi"
	for f in whole.mkv whole.avi; do
		head -c -99 "$T/$f" >"$T/cut"
		e3-decode --all -o "$T/s" "$T/cut" 2>"$T/err"
		says "reading: $T/cut: cut off: its head states"
		fails 1 "cut off: its head states" -- e3-decode --all --strict "$T/cut"
		cat "$T/$f" "$T/$f" >"$T/twice"
		e3-decode --all --strict -o "$T/s" "$T/$f" 2>"$T/err"
		lacks 'cut off'
		e3-decode --all --strict -o "$T/s" "$T/twice" 2>"$T/err"
		lacks 'cut off'
	done
}

@test "H.264 with B pictures in AVI: empty packets in the index do not double the rate" {
	ffmpeg -v error -f lavfi -i testsrc2=s=64x48:r=25:d=2 -pix_fmt yuv420p -c:v libx264 -bf 3 "$T/b.mp4"
	ffmpeg -v error -i "$T/b.mp4" -c copy -bsf:v h264_mp4toannexb "$T/b.avi"
	e3-decode -o "$T/s" "$T/b.avi" 2>"$T/err"
	[ "$(e3-dump "$T/s" | grep -c '^frame')" -eq 4 ]
	lacks 'frames/s'
	lacks 'varies'
}

# `tests/damage_videos.py DIR 200 SEED` is the whole of it.
@test "damaged videos: no crash, and no frame that the ffmpeg program decodes is lost without a word" {
	mkdir "$T/damage"
	/usr/bin/python3 -B "$ROOT/tests/damage_videos.py" "$T/damage" 10 7 h264.mp4 fast.mp4 h264.mkv h264.ts hevc.mkv mpeg4.avi mpeg2.mpg vp9.webm
}
