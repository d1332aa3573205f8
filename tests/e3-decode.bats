#!/usr/bin/env bats
# e3-decode: its frames equal those that ffmpeg and Pillow read, the announced number of frames is right, and damaged input ends in a
# message and exit 1.
load common

# Clips of 4 s at 25 frames/s and 160x120, most with several groups of pictures.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	# (all in two runs: ffmpeg takes 0.2 s to start)
	ffmpeg -v error -f lavfi -i testsrc2=s=160x120:r=25:d=4 -f lavfi -i sine=d=1 -f lavfi -i testsrc2=s=62x46:r=4:d=1.5 \
		-f lavfi -i testsrc2=s=60x40:r=4:d=1 \
		-map 0 -pix_fmt yuv420p -c:v libx264 -bf 3 -g 20 h.mp4 \
		-map 0 -pix_fmt yuv420p -c:v libx264 -x264-params open-gop=1:keyint=20 h.ts \
		-map 0 -pix_fmt yuv420p -c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -b:v 200k v8.webm \
		-map 1 -c:a aac sound.m4a -map 2 pic%d.png -map 3 -c:v ppm -f image2pipe pics.ppm
	ffmpeg -v error -i h.mp4 -ss 1.3 -i h.mp4 -map 0 -c copy -movflags +faststart fast.mp4 \
		-map 0 -c copy -movflags frag_keyframe+empty_moov frag.mp4 -map 0 -c copy h.mkv -map 1 -c copy edit.mp4
	tail -c +20000 h.ts >cut.ts
}

prepare() {
	clips=$BATS_FILE_TMPDIR
}

show() { /usr/bin/python3 -B "$ROOT/tests/frames.py" "$1"; } # one line on the stream, one on each frame

# decode ARGS: runs e3-decode into $T/s, shows it into $T/show, requires the announced number to have come (or to be unknown)
decode() {
	e3-decode "$@" >"$T/s" 2>"$T/err" || { cat "$T/err"; return 1; }
	show "$T/s" >"$T/show" || return 1
	local frames n
	frames=$(sed -nE '1s/frames=(\S+) .*/\1/p' "$T/show") n=$(sed -nE '1s/.* n=//p' "$T/show")
	[ "$frames" = None ] || [ "$frames" = "$n" ] || { echo "$*: announced $frames, sent $n"; cat "$T/err"; return 1; }
}
head_is() { [ "$(head -1 "$T/show")" = "$1" ] || { echo "head: $(head -1 "$T/show"), expected $1"; return 1; }; }
kept() { sed 1d "$T/show" | cut -d' ' -f1 | tr '\n' ' '; }
kept_is() { [ "$(kept)" = "$1 " ] || { echo "kept $(kept), expected $1"; return 1; }; }
pixels() { sed 1d "$T/show" | cut -d' ' -f3,5; }

# by_ffmpeg FILE FILTER: size and SHA-256 of each frame as the ffmpeg program makes it
by_ffmpeg() {
	ffmpeg -v error -y -i "$1" -vf "$2" -vsync 0 -pix_fmt rgb24 -f image2pipe -c:v ppm "$T/ref.ppm"
	/usr/bin/python3 -B - "$T/ref.ppm" <<-'PY'
		import hashlib, sys
		b, at = open(sys.argv[1], "rb").read(), 0
		while at < len(b):
		    fields = b[at:at + 40].split(b"\n", 3)
		    w, h = map(int, fields[1].split())
		    at += sum(len(f) + 1 for f in fields[:3])
		    print("%dx%d %s" % (w, h, hashlib.sha256(b[at:at + 3 * w * h]).hexdigest()))
		    at += 3 * w * h
	PY
}

@test "the bundled clip: 48 frames, announced and sent" {
	decode --all "$DEMO/clip.mp4"
	head_is "frames=48 fps=12 n=48"
	decode "$DEMO/clip.mp4" # every half second, counted as the reference does
	head_is "frames=8 fps=2 n=8"
	kept_is "5 11 17 23 29 35 41 47"
}

@test "frames are kept by number as the reference keeps them" {
	decode --every 0.5 "$clips/h.mp4" # 25 x 0.5, truncated: 12
	kept_is "11 23 35 47 59 71 83 95"
	decode --step 30 "$clips/h.mp4"
	kept_is "29 59 89"
	decode --step 30 --first "$clips/h.mp4"
	kept_is "0 29 59 89"
	decode --every 9 "$clips/h.mp4"
	head_is "frames=0 fps=0.111111 n=0"
	grep -q 'no frame was kept' "$T/err"
	decode --every 1 --fps 10 "$clips/h.mp4"
	kept_is "9 19 29 39 49 59 69 79 89 99"
	decode --every 0.01 --max-frames 2 "$clips/h.mp4"
	kept_is "0 1"
	grep -q 'less than a frame' "$T/err"
}

@test "NTSC rates truncate to 29 frames a second, as doc/formats.md 5.1 lists" {
	decode --every 1 "$ROOT/tests/data/golden/io/tuntag.mp4"
	kept_is "28 57 86 115"
	decode --every 2.5 "$ROOT/tests/data/golden/io/tuntag.mp4"
	kept_is "73"
}

@test "--sampling time keeps even intervals when the frame rate varies" {
	decode --sampling time "$ROOT/tests/data/golden/io/tvfr.mp4"
	head_is "frames=8 fps=2 n=8"
	[ "$(sed 1d "$T/show" | cut -d' ' -f2 | tr '\n' ' ')" = "0.000 0.500 1.000 1.500 2.000 2.500 3.000 3.500 " ] || { cat "$T/show"; return 1; }
	e3-decode "$ROOT/tests/data/golden/io/tvfr.mp4" 2>&1 >/dev/null | grep -q 'the frame rate varies (on average 34.393, at base 60.000)'
	decode --fps-source avg "$ROOT/tests/data/golden/io/tvfr.mp4" # 17 frames
	kept_is "16 33 50 67 84 101 118 135"
}

@test "the announced number of frames is exact in every container, for every way of choosing" {
	for f in h.mp4 fast.mp4 frag.mp4 edit.mp4 h.mkv h.ts cut.ts v8.webm; do
		for how in --all "--sampling time --every 0.3 --start 1.1 --end 2.9" "--step 4 --start 2.5 --max-frames 5"; do
			# shellcheck disable=SC2086
			decode $how "$clips/$f"
			! grep -q '^frames=None' "$T/show" || { echo "$f $how: not announced"; return 1; }
		done
	done
}

@test "--start gives the same frames as reading from the beginning" {
	for f in h.mp4 h.mkv h.ts v8.webm; do
		decode --all "$clips/$f"
		sed 1d "$T/show" >"$T/all"
		for start in 2.2 2.52 3.9; do
			decode --all --start "$start" "$clips/$f"
			sed 1d "$T/show" >"$T/part"
			awk -v s="$start" '$2 + 1e-6 >= s' "$T/all" | diff - "$T/part" || { echo "$f from $start"; return 1; }
		done
	done
}

@test "videos on a pipe: mp4 with its index first, last or in fragments, and mkv; standard input from a file" {
	decode --all "$clips/h.mp4"
	pixels >"$T/want"
	for f in fast.mp4 h.mp4 frag.mp4 h.mkv; do
		cat "$clips/$f" | e3-decode --all - >"$T/s"
		show "$T/s" >"$T/show"
		pixels | diff "$T/want" - || { echo "$f on a pipe"; return 1; }
		e3-decode --all - <"$clips/$f" >"$T/s"
		show "$T/s" >"$T/show"
		head_is "frames=100 fps=25 n=100"
		pixels | diff "$T/want" - || { echo "$f as standard input"; return 1; }
	done
	# On a pipe, an mp4 states its number of frames; of others it is known when they are copied first.
	for how in "fast.mp4" "h.mp4" "h.mkv --spool" "frag.mp4 --spool"; do
		# shellcheck disable=SC2086
		set -- $how
		cat "$clips/$1" | e3-decode --all ${2:-} - >"$T/s"
		show "$T/s" >"$T/show"
		head_is "frames=100 fps=25 n=100"
	done
	cat "$clips/h.mkv" | e3-decode --all - >"$T/s"
	show "$T/s" >"$T/show"
	head_is "frames=None fps=25 n=100"
	[ "$(cat "$clips/h.mp4" | e3-decode --all --spool-max 10k - 2>&1 >/dev/null)" = \
		"e3-decode: reading: standard input: more than 10240 bytes to copy before the first frame: raise the limit of such copies, or give a file" ]
}

@test "colours: --matrix opencv equals the stored hashes, and the ffmpeg program's BT.601" {
	local name sum
	while read -r name _ _ _ sum; do
		decode --all --max-frames 1 --matrix opencv "$ROOT/tests/data/golden/io/$name.mp4"
		grep -q " $sum\$" "$T/show" || { echo "$name: $(cat "$T/show"), expected $sum"; return 1; }
	done <"$ROOT/tests/data/golden/io/hashes.txt"
}

@test "colours: the stream's tag decides, or the number of rows, or --matrix" {
	local rate=r=25:d=0.12
	ffmpeg -v error -f lavfi -i testsrc2=s=128x96:$rate -pix_fmt yuv420p -c:v libx264 -colorspace bt709 "$T/709.mp4"
	ffmpeg -v error -f lavfi -i testsrc2=s=128x96:$rate -pix_fmt yuv420p -c:v libx264 "$T/none.mp4"
	ffmpeg -v error -f lavfi -i testsrc2=s=128x720:$rate -pix_fmt yuv420p -c:v libx264 "$T/tall.mp4"
	check() { # OPTIONS FILE MATRIX
		# shellcheck disable=SC2086
		decode --all $1 "$T/$2"
		by_ffmpeg "$T/$2" "scale=in_color_matrix=$3:flags=bicubic" >"$T/want"
		pixels | diff "$T/want" - || { echo "$*"; return 1; }
	}
	check "" 709.mp4 bt709
	check "" none.mp4 bt601
	check "" tall.mp4 bt709
	check "--matrix opencv" 709.mp4 bt601
	check "--matrix 601" 709.mp4 bt601
	check "--matrix 709" none.mp4 bt709
	check "--matrix 2020" none.mp4 bt2020
}

# The eight display matrices, written over the one in the file: a b u c d v x y w as 16.16 and 2.30.
@test "rotation and mirroring are those of the ffmpeg program" {
	ffmpeg -v error -f lavfi -i testsrc2=s=128x96:r=25:d=0.12 -pix_fmt yuv420p -c:v libx264 "$T/up.mp4"
	local at one='\x00\x01\x00\x00' neg='\xff\xff\x00\x00' zero='\x00\x00\x00\x00' w='\x40\x00\x00\x00' k=0 rots=(0 0 180 180 90 90 270 270) r
	at=$(($(grep -abo tkhd "$T/up.mp4" | head -1 | cut -d: -f1) + 44))
	#        upright            mirrored           180                180 mirrored
	for m in "one zero zero one" "neg zero zero one" "neg zero zero neg" "one zero zero neg" \
		"zero one one zero" "zero one neg zero" "zero neg neg zero" "zero neg one zero"; do
		# shellcheck disable=SC2086
		set -- $m
		cp "$T/up.mp4" "$T/$k.mp4"
		printf '%b' "${!1}${!2}$zero${!3}${!4}$zero$zero$zero$w" | dd of="$T/$k.mp4" bs=1 seek="$at" conv=notrunc status=none
		decode --all --matrix opencv "$T/$k.mp4"
		by_ffmpeg "$T/$k.mp4" "scale=in_color_matrix=bt601:flags=bicubic" >"$T/want"
		pixels | diff "$T/want" - || { echo "matrix $k: $m"; return 1; }
		r=$(sed -nE '2s/.* rot([0-9]+) .*/\1/p' "$T/show")
		[ "$r" = "${rots[k]}" ] || { echo "matrix $k: rot $r, expected ${rots[k]}"; return 1; }
		decode --all --matrix opencv --no-autorotate "$T/$k.mp4"
		[ "$(pixels | sort -u | cut -c1-6)" = "$(printf '128x96\n%.0s' 1 2 3)" ] || { pixels; return 1; }
		k=$((k + 1))
	done
	decode --all --max-frames 2 --matrix opencv "$ROOT/tests/data/golden/io/trot.mp4"
	by_ffmpeg "$ROOT/tests/data/golden/io/trot.mp4" "scale=in_color_matrix=bt601:flags=bicubic" | head -2 >"$T/want"
	pixels | diff "$T/want" -
	grep -q ' 480x640 rot270 ' "$T/show"
}

@test "pictures: folders in natural order or byte order, operands in their order, all unless --step" {
	mkdir "$T/d"
	for k in 1 2 3 4 5 6; do cp "$clips/pic$k.png" "$T/d/f$((k + 6)).png"; done # f7 .. f12
	cp "$clips/pic1.png" "$T/d/.hidden.png"
	echo text >"$T/d/notes.txt"
	mkdir "$T/d/sub.png"
	decode "$clips"/pic{4,5,6,1,2,3}.png
	[ ! -s "$T/err" ]
	pixels >"$T/bytes"
	decode "$T/d"/f*.png # as the shell orders them
	pixels | diff "$T/bytes" -
	grep -q "files in the order in which they are given: f12.png before f7.png" "$T/err"
	decode --lexical "$T/d" # f10 f11 f12 f7 f8 f9
	grep -q "in byte order: f12.png before f7.png" "$T/err"
	head_is "frames=6 fps=0 n=6"
	pixels | diff "$T/bytes" -
	[ "$(sed 1d "$T/show" | cut -d' ' -f1,2 | head -2 | tr '\n' ' ')" = "0 0.000 1 1.000 " ]
	decode "$clips"/pic{1,2,3,4,5,6}.png
	pixels >"$T/natural"
	decode "$T/d"
	pixels | diff "$T/natural" -
	grep -q "in natural order: f9.png before f10.png" "$T/err"
	decode --natural "$T/d"
	pixels | diff "$T/natural" -
	decode --step 2 --fps 10 "$T/d"
	head_is "frames=3 fps=5 n=3"
	kept_is "1 3 5"
	decode --every 0.2 --fps 10 "$T/d/f7.png" "$T/d"
	kept_is "1 3 5"
	decode --max-frames 2 "$T/d"
	head_is "frames=2 fps=0 n=2"
	fails 1 "no pictures in this folder" -- e3-decode "$T/d/sub.png"
	fails 1 "the frame rate is unknown: state it, or choose every Nth frame" -- e3-decode --every 1 "$T/d"
}

@test "pictures of several formats on a pipe are sent as they come" {
	cat "$clips/pics.ppm" "$clips/pic1.png" "$ROOT/tests/data/decode/420.jpg" "$clips/pics.ppm" | e3-decode - >"$T/s"
	show "$T/s" >"$T/show"
	head_is "frames=None fps=0 n=10"
	pixels | cut -d' ' -f1 | uniq -c | tr -s ' \n' ' ' | grep -q '^ 4 60x40 1 62x46 1 61x45 4 60x40 $'
	# A frame is sent while the pipe is still open.
	mkfifo "$T/in" "$T/out"
	e3-decode - <"$T/in" >"$T/out" &
	exec 7>"$T/in" 8<"$T/out"
	printf 'P6 2 2 255\n123456789012' >&7
	local got
	got=$(timeout 300 head -c 180 <&8 | grep -ac src_i)
	exec 7>&-
	cat <&8 >/dev/null
	wait $!
	[ "$got" -eq 1 ]
}

@test "EXIF orientation is applied, unless --no-autorotate or --compat upstream" {
	/usr/bin/python3 -c 'import PIL' 2>/dev/null || skip "needs python3-pil"
	/usr/bin/python3 -B - "$ROOT/tests/data/decode/444.jpg" "$T" <<-'PY' >"$T/want"
		import hashlib, sys
		from PIL import Image, ImageOps
		b = open(sys.argv[1], "rb").read()
		for o in range(1, 9):
		    name = "%s/%d.jpg" % (sys.argv[2], o)
		    exif = Image.Exif()
		    exif[0x112] = o
		    segment = exif.tobytes()
		    open(name, "wb").write(b[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + b[2:])
		    im = ImageOps.exif_transpose(Image.open(name))
		    print("%dx%d %s" % (im.width, im.height, hashlib.sha256(im.convert("RGB").tobytes()).hexdigest()))
	PY
	decode "$T"/{1,2,3,4,5,6,7,8}.jpg
	pixels | diff "$T/want" -
	[ "$(sed 1d "$T/show" | cut -d' ' -f4 | tr '\n' ' ')" = "rot0 rot0 rot180 rot180 rot90 rot90 rot270 rot270 " ]
	for how in --no-autorotate "--compat upstream"; do
		# shellcheck disable=SC2086
		decode $how "$T"/{1,2,3,4,5,6,7,8}.jpg
		[ "$(pixels | sort -u)" = "$(head -1 "$T/want")" ] || { echo "$how"; return 1; }
	done
}

@test "--fit resizes as the network does, and states where every pixel comes from" {
	e3-decode --fit 70 --max-frames 1 "$clips/pic1.png" | e3-dump >"$T/dump" # 62x46: 70x52 -> 70x56
	grep -q 'src_w=62 src_h=46 rot=0 fit=\[1.1290322580645162,1.2173913043478262,0,0\] w=70 h=56' "$T/dump" || { cat "$T/dump"; return 1; }
	ffmpeg -v error -i "$clips/pic1.png" -vf transpose=clock "$T/tall.png" # 46x62 -> 70x98, 14 rows off the top
	e3-decode --fit 70 "$T/tall.png" | e3-dump | grep -q 'fit=\[1.5217391304347827,1.5806451612903225,0,-14\] w=70 h=70'
	e3-decode --fit 70 --fit-mode pad "$T/tall.png" | e3-dump | grep -q 'fit=\[1.2173913043478262,1.1290322580645162,7,0\] w=70 h=70'
	/usr/bin/python3 -c 'import PIL' 2>/dev/null || skip "needs python3-pil"
	decode --fit 518 "$clips"/pic{1,2}.png
	/usr/bin/python3 -B - "$clips"/pic{1,2}.png <<-'PY' >"$T/want"
		import hashlib, sys
		from PIL import Image
		for f in sys.argv[1:]:
		    im = Image.open(f).convert("RGB")
		    im = im.resize((518, round(im.height * (518 / im.width) / 14) * 14), Image.BICUBIC)
		    print("%dx%d %s" % (im.width, im.height, hashlib.sha256(im.tobytes()).hexdigest()))
	PY
	pixels | diff "$T/want" -
	fails 2 "--fit 500 is not a multiple of the patch size 14" -- e3-decode --fit 500 x.png
}

@test "--png writes the pictures and a table" {
	e3-decode --step 40 --png "$T/p/q" "$clips/h.mp4"
	[ "$(cut -f1,2,3,5 "$T/p/q/frames.tsv" | tr '\t\n' ' ;')" = "kept_index source_index pts rotation;0 39 1.560000 0;1 79 3.160000 0;" ]
	decode --step 40 "$clips/h.mp4"
	pixels >"$T/want"
	decode "$T/p/q"
	pixels | diff "$T/want" -
	[ "$(find "$T/p" -type f | wc -l)" -eq 3 ]
}

@test "input that cannot be read ends in a message, exit 1 and an abort in the stream" {
	local size
	fails 1 "reading: /nonexistent: No such file or directory" -- e3-decode /nonexistent
	e3-decode /nonexistent 2>/dev/null | e3-dump >"$T/dump" 2>"$T/err2" || true
	grep -q 'e3-decode' "$T/err2" "$T/dump" || { cat "$T/err2" "$T/dump"; return 1; }
	fails 1 "no video stream" -- e3-decode "$clips/sound.m4a"
	fails 1 "not a video or picture" -- e3-decode "$ROOT/LICENSE"
	fails 1 "not a picture: give one video, or pictures and folders" -- e3-decode "$clips/pic1.png" "$clips/h.mp4"
	fails 1 "standard input cannot be one input of several" -- e3-decode "$clips/pic1.png" -
	fails 1 "standard input: empty" -- e3-decode -
	fails 1 "stream 1: there are 1" -- e3-decode --stream 1 "$clips/h.mp4"
	head -c $(($(stat -c %s "$clips/pic1.png") / 2)) "$clips/pic1.png" >"$T/cut.png"
	fails 1 "reading: $T/cut.png: truncated" -- e3-decode --strict "$clips/pic2.png" "$T/cut.png"
	head -c 3000 "$ROOT/tests/data/decode/444.jpg" >"$T/cut.jpg"
	fails 1 "reading: $T/cut.jpg: truncated" -- e3-decode "$T/cut.jpg"
	size=$(stat -c %s "$clips/fast.mp4")
	head -c $((size - 5000)) "$clips/fast.mp4" >"$T/cut.mp4"
	fails 1 "truncated: its frames reach to byte" -- e3-decode --strict "$T/cut.mp4"
	head -c $((size - 5000)) "$clips/h.mp4" >"$T/cut.mp4"
	fails 1 "reading: $T/cut.mp4: its index is missing (no moov)" -- e3-decode "$T/cut.mp4"
	head -c $((size - 5000)) "$clips/h.mkv" >"$T/cut.mkv"
	decode --all "$T/cut.mkv"
	grep -q 'its head states 4.00 s: cut off?' "$T/err"
	grep -q 'cut off: its head states [0-9]* bytes, it has [0-9]*$' "$T/err"
	fails 1 "cut off: its head states" -- e3-decode --all --strict "$T/cut.mkv"
}

@test "damaged pictures are left out, named, and counted at the end; --strict fails" {
	local k
	mkdir "$T/d"
	for k in 1 2 3 4 5 6; do cp "$clips/pic$k.png" "$T/d/$k.png"; done
	head -c 300 "$clips/pic2.png" >"$T/d/2.png"
	: >"$T/d/5.png"
	head -c 3000 "$ROOT/tests/data/decode/444.jpg" >"$T/d/7.jpg"
	decode "$T/d" # what is damaged is not announced
	head_is "frames=4 fps=0 n=4"
	kept_is "0 2 3 5"
	grep -q "reading: $T/d/2.png: truncated.*: left out" "$T/err" || { cat "$T/err"; return 1; }
	grep -q "$T/d/5.png: empty: left out" "$T/err"
	grep -q "$T/d/7.jpg: truncated.*: left out" "$T/err"
	grep -q "3 pictures were left out, the first: reading: $T/d/2.png: truncated" "$T/err"
	! grep -q 'announced' "$T/err" || { cat "$T/err"; return 1; }
	decode "$clips"/pic{1,3,4,6}.png
	pixels >"$T/want"
	e3-decode "$T/d" 2>/dev/null >"$T/s"
	show "$T/s" | sed 1d | cut -d' ' -f3,5 | diff "$T/want" -
	fails 1 "reading: $T/d/2.png: truncated" -- e3-decode --strict "$T/d"
	rm "$T/d"/[1346].png "$T/d/7.jpg"
	fails 1 "reading: $T/d/2.png: truncated" -- e3-decode "$T/d"
}

@test "a damaged picture on a pipe is left out" {
	cp "$clips/pic2.png" "$T/bad.png"
	printf 'XXXX' | dd of="$T/bad.png" bs=1 seek=200 conv=notrunc status=none
	cat "$clips/pic1.png" "$T/bad.png" "$clips/pic3.png" >"$T/pics"
	e3-decode - <"$T/pics" >"$T/s" 2>"$T/err"
	show "$T/s" >"$T/show"
	kept_is "0 2"
	grep -q "standard input: picture 1: .*: left out" "$T/err" || { cat "$T/err"; return 1; }
	fails 1 "picture 1" -- bash -c "e3-decode --strict - <'$T/pics'"
}

@test "a video that ends early: its frames are sent with a warning, by name and on a pipe; --strict fails" {
	local size rc=0
	size=$(stat -c %s "$clips/fast.mp4")
	head -c $((size - 5000)) "$clips/fast.mp4" >"$T/cut.mp4"
	decode --all "$T/cut.mp4"
	head_is "frames=93 fps=25 n=93"
	grep -q "truncated: its frames reach to byte $size, it has $((size - 5000)): 93 frames of 100 are there" "$T/err" || { cat "$T/err"; return 1; }
	e3-decode --all - <"$T/cut.mp4" >"$T/s"
	show "$T/s" | head -1 | grep -q 'n=93$'
	cat "$T/cut.mp4" | e3-decode --all - >"$T/s" 2>"$T/err"
	grep -q 'standard input: truncated: 93 frames of 100 are there' "$T/err" || { cat "$T/err"; return 1; }
	show "$T/s" | head -1 | grep -q 'n=93$'
	cat "$T/cut.mp4" | e3-decode --strict --all - >"$T/s" 2>"$T/err" || rc=$?
	[ "$rc" -eq 1 ]
	grep -q 'standard input: truncated: 93 frames of 100 are there' "$T/err" || { cat "$T/err"; return 1; }
	e3-dump "$T/s" >"$T/dump" 2>"$T/err2" || true
	[ "$(grep -c '^frame' "$T/dump")" -ge 85 ]
	grep -q 'truncated: 93 frames of 100' "$T/err2"
}

@test "damage inside a video is counted, and the other frames are sent" {
	cp "$clips/h.mp4" "$T/bad.mp4"
	local k
	for k in 9000 14000 20000 26000 33000; do
		printf '\125\252\125\252' | dd of="$T/bad.mp4" bs=1 seek="$k" conv=notrunc status=none
	done
	e3-decode --all "$T/bad.mp4" >"$T/s" 2>"$T/err"
	grep -qE 'bad.mp4: ([0-9]{2,}|[2-9]) damaged packets or frames|bad.mp4: 1 damaged packet or frame$' "$T/err" || { cat "$T/err"; return 1; }
	show "$T/s" | head -1 | grep -qE 'n=(9[0-9]|100)$'
}

@test "after SIGINT the stream has the frames so far and an end; exit 130" {
	local rc=0
	mkfifo "$T/in"
	e3-decode - <"$T/in" >"$T/s" 2>"$T/err" &
	local pid=$!
	exec 7>"$T/in"
	cat "$clips/pics.ppm" >&7
	wait_until 10 size_above "$T/s" 28000
	kill -INT "$pid"
	wait "$pid" || rc=$?
	exec 7>&-
	[ "$rc" -eq 130 ] || { echo "exit $rc"; cat "$T/err"; return 1; }
	show "$T/s" | head -1 | grep -q 'n=4$'
	[ ! -s "$T/err" ] || { cat "$T/err"; return 1; }
}

@test "memory does not grow with the length of the video" {
	ffmpeg -v error -f lavfi -i testsrc2=s=160x120:r=50:d=20 -pix_fmt yuv420p -c:v libx264 -preset ultrafast "$T/long.mp4"
	local few many
	! ldd "$(command -v e3-decode)" | grep -q libasan || skip "a sanitizer build keeps freed memory"
	few=$(e3-decode --all --max-frames 200 "$T/long.mp4" | e3-dump --json | sed -n 's/.*"peak_rss":\([0-9]*\).*/\1/p')
	many=$(e3-decode --all "$T/long.mp4" | e3-dump --json | sed -n 's/.*"peak_rss":\([0-9]*\).*/\1/p')
	echo "# peak resident memory: $few bytes at 200 frames, $many at 1000"
	[ "$many" -lt $((few + 2 * 1024 * 1024)) ]
}

@test "options that contradict each other are usage errors" {
	fails 2 "--every, --step and --all exclude each other" -- e3-decode --all --step 2 x
	fails 2 "--sampling time needs --every" -- e3-decode --sampling time --all x
	fails 2 "--natural and --lexical" -- e3-decode --natural --lexical x
	fails 2 "--end 1 is not after --start 2" -- e3-decode --start 2 --end 1 x
	fails 2 "no input" -- e3-decode
	fails 2 "option --spool-max" -- e3-decode --spool-max 3Q -
}
