#!/usr/bin/env bats
# e3-decode --sharpest: of each interval the sharpest frame, as many as announced, in every way of choosing.
load common

# 48 frames at 8 a second; in each 8 of them one is sharp (7 6 5 4 3 2 in turn), the others are smeared by motion; the exposure changes.
setup_file() {
	local sharp='eq(mod(n,8),7-floor(n/8))'
	ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=8:d=6 -pix_fmt yuv420p -c:v libx264 -crf 18 -bf 2 -vf \
		"avgblur=sizeX=5:sizeY=1:enable='not($sharp)',eq=eval=frame:contrast='1+0.2*sin(n*3)'" "$BATS_FILE_TMPDIR/shaky.mp4"
}
prepare() { clip=$BATS_FILE_TMPDIR/shaky.mp4; }

# kept_is "NUMBERS" ARG...: the frames that are sent; as many are announced
kept_is() {
	local want=$1 frames n
	shift
	e3-decode "$@" >"$T/s" 2>"$T/err" || { cat "$T/err"; return 1; }
	/usr/bin/python3 -B "$ROOT/tests/frames.py" "$T/s" >"$T/show"
	frames=$(sed -nE '1s/frames=(\S+) .*/\1/p' "$T/show") n=$(sed -nE '1s/.* n=//p' "$T/show")
	[ "$frames" = "$n" ] || { echo "announced $frames, sent $n"; return 1; }
	[ "$(sed 1d "$T/show" | cut -d' ' -f1 | tr '\n' ' ')" = "$want " ] || { echo "expected $want"; cat "$T/show"; return 1; }
}

@test "the sharp frame of every interval is chosen, by number and by time" {
	kept_is "7 15 23 31 39 47" --step 8 "$clip"
	kept_is "7 14 21 28 35 42" --step 8 --sharpest "$clip"
	kept_is "7 14 21 28 35 42" --every 1 --sharpest "$clip"
	kept_is "0 8 16 24 32 40" --every 1 --sampling time "$clip"
	kept_is "7 14 21 28 35 42" --every 1 --sampling time --sharpest "$clip"
}

@test "with --first, --max-frames, --start and --end intervals are as the manual says" {
	kept_is "0 7 14 21 28 35 42" --step 8 --first --sharpest "$clip"
	kept_is "7 14" --step 8 --max-frames 2 --sharpest "$clip"
	kept_is "7 14" --every 1 --sampling time --max-frames 2 --sharpest "$clip"
	kept_is "14 21" --step 8 --start 1 --end 3 --sharpest "$clip"
	kept_is "14 21" --every 1 --sampling time --start 1 --end 3 --sharpest "$clip"
}

@test "the frame that is sent is the one of that number" {
	e3-decode --all "$clip" -o "$T/all"
	/usr/bin/python3 -B "$ROOT/tests/frames.py" "$T/all" | sed 1d >"$T/every"
	kept_is "7 14 21 28 35 42" --every 1 --sampling time --sharpest "$clip"
	sed 1d "$T/show" | while read -r line; do grep -qxF -- "$line" "$T/every" || { echo "$line"; exit 1; }; done
}

@test "of pictures in a folder too; a damaged one is no choice" {
	mkdir "$T/pics"
	ffmpeg -nostdin -v error -i "$clip" -vframes 24 "$T/pics/%d.png"
	kept_is "7 14 21" --step 8 --sharpest "$T/pics"
	kept_is "0 7 14 21" --step 8 --first --sharpest "$T/pics"
	kept_is "7 14" --every 1 --fps 8 --max-frames 2 --sharpest "$T/pics"
	truncate -s -200 "$T/pics/8.png" # of the first interval the sharp one, of the second all
	for k in 9 10 11 12 13 14 15 16; do truncate -s 40 "$T/pics/$k.png"; done
	e3-decode --step 8 --sharpest "$T/pics" -o "$T/s" 2>"$T/err"
	/usr/bin/python3 -B "$ROOT/tests/frames.py" "$T/s" >"$T/show"
	grep -qE "^frames=2 .* n=2$" "$T/show"
	[ "$(grep -c "^21 " "$T/show")" -eq 1 ]
	[ "$(grep -c "^7 " "$T/show")" -eq 0 ]
	grep -q "9 pictures were left out" "$T/err"
	[ "$(grep -c "announced" "$T/err")" -eq 0 ]
}

@test "--sharpest where there is nothing to choose is refused" {
	fails 2 "--sharpest chooses one frame of several" -- e3-decode --all --sharpest "$clip"
	fails 1 "--sharpest is for videos" -- e3-decode --sharpest lavfi:testsrc2=s=64x48
	ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=64x48:d=0.1 -frames:v 1 "$T/1.png"
	fails 1 "the sharpest is chosen of every Nth in files, N above 1" -- e3-decode --sharpest "$T/1.png" -o "$T/s"
}
