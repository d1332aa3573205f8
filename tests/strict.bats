#!/usr/bin/env bats
# What e3-stream(5) forbids is refused by every tool that reads a stream, in the same words: also by those that only pass it on.
load common

prepare() {
	cd "$T" || return 1
}

# defects IN OUTDIR: in OUTDIR a stream for each defect of its last pred or frame, and beside it what must be said.
defects() {
	mkdir -p "$2"
	/usr/bin/python3 - "$1" "$2" <<-'PY'
		import struct, sys, msgpack
		data, at, m = open(sys.argv[1], "rb").read(), 0, []
		while at < len(data):
		    _, n, kind = struct.unpack(">BIB", data[at:at + 6])
		    m.append((kind, data[at + 6:at + 6 + n]))
		    at += 6 + n
		last = max(k for k, (kind, _) in enumerate(m) if kind in (2, 3))
		def write(name, text, body, k=last):
		    out = b"".join(struct.pack(">BIB", 0xC9, len(b), kind) + b for kind, b in m[:k] + [(m[k][0], body)] + m[k + 1:])
		    open(f"{sys.argv[2]}/{name}.e3", "wb").write(out)
		    open(f"{sys.argv[2]}/{name}.txt", "w").write(text + "\n")
		def more(*pairs, k=last): # keys and values behind the last one
		    f = msgpack.unpackb(m[k][1])
		    body = msgpack.Packer().pack_map_header(len(f) + len(pairs))
		    for a, b in list(f.items()) + list(pairs):
		        body += msgpack.packb(a) + msgpack.packb(b)
		    return body
		def changed(k=last, **new):
		    f = msgpack.unpackb(m[k][1])
		    f.update(new)
		    return msgpack.packb({a: b for a, b in f.items() if b is not None})
		rgb = msgpack.unpackb(m[last][1])["rgb"]
		write("twice", "i: given twice", more(("i", 5)))
		write("unknown-twice", "extra: given twice", more(("extra", 1), ("extra", 2)))
		write("number", "a key is a whole number, expected text", more((7, 1)))
		write("bytes", "a key is bytes, expected text", more((b"pts", 1)))
		write("nil", "a key is nil, expected text", more((None, 1)))
		write("inside-number", "extra: [0]: a key is a whole number, expected text", more(("extra", [{7: 1}])))
		deep = msgpack.packb({"extra": {"ab": 1, "cd": 2}}).replace(b"cd", b"ab")[1:]
		write("inside-twice", "extra: ab: given twice", more(("zzzzz", 0)).replace(b"\xa5zzzzz\x00", deep))
		write("array-twice", "rgb: dtype given twice", m[last][1].replace(b"\xa5shape", b"\xa5dtype", 1))
		write("utf8", "extra: text that is not UTF-8, from its byte 1 on", more(("extra", "abc")).replace(b"\xa3abc", b"\xa3a\xffc"))
		write("zero", "extra: text with a zero byte in it", more(("extra", "a\0c")))
		write("behind", "1 bytes after the map", m[last][1] + b"\xc0")
		write("no-pts", "pts: missing", changed(pts=None))
		write("no-rgb", "rgb: missing", changed(rgb=None))
		write("nan", "pts: is not a number, expected a finite number", changed(pts=float("nan")))
		write("text", "src_w: is text, expected a whole number", changed(src_w="9"))
		write("short", "rgb: shape and dtype need", changed(rgb=dict(rgb, data=rgb["data"][:-1])))
		write("shape", "rgb: shape[0] is", changed(rgb=dict(rgb, shape=[1, rgb["shape"][0] * rgb["shape"][1], 3])))
		write("no-data", "rgb: array without data", changed(rgb={"dtype": "u8", "shape": rgb["shape"]}))
		write("head", "fps: given twice", more(("fps", 1), k=0), 0)
		write("no-tool", "head: tool: missing", changed(k=0, tool=None), 0)
		write("end", "seconds: missing", changed(k=len(m) - 1, seconds=None), len(m) - 1)
	PY
}

# refused FOLDER TOOL...: every stream of the folder in turn stands behind the command
refused() {
	local folder=$1 f n=0
	shift
	for f in "$folder"/*.e3; do
		fails 1 "$(cat "${f%.e3}.txt")" -- "$@" "$f" || { echo "$* $f"; return 1; }
		grep -q "reading: ${f//./\\.}: message " "$T/stderr" || { cat "$T/stderr"; return 1; }
		n=$((n + 1))
	done
	[ "$n" -gt 20 ]
}

@test "predictions: every reader refuses the same" {
	e3-scene --seed 3 --frames 2 --size 28x28 | e3-infer -q --device cpu --model seed:tiny:7 -o good.e3
	defects good.e3 p
	refused p e3-cat -o x.e3
	refused p e3-dump
	refused p e3-dump --json
	refused p e3-align --final -o x.e3
	refused p e3-evict-stats
	refused p e3-evict-stats --pass
	refused p e3-export --tum x.txt
	refused p e3-eval pose
	nothing=$(find . -maxdepth 1 -name 'x*' ! -name '*.partial*')
	[ -z "$nothing" ] || { echo "left: $nothing"; return 1; }
}

@test "frames: every reader refuses the same" {
	e3-scene --seed 3 --frames 2 --size 28x28 -o good.e3
	defects good.e3 f
	refused f e3-infer -q --device cpu --model seed:tiny:7 -o x.e3
	refused f e3-cat -o x.e3
	fails 1 "reading: standard input: message" -- sh -c 'cat f/twice.e3 | e3-cat -o x.e3'
	fails 1 "i: given twice" -- sh -c 'cat f/twice.e3 | e3-dump -'
}

@test "a name that is not UTF-8 is written so that it can be read" {
	e3-scene --seed 3 --frames 1 --size 160x120 --as 7scenes shots
	mkdir "$(printf 'b\377d')"
	cp "$(find shots -name '*color.png' | head -1)" "$(printf 'b\377d')/a.png"
	e3-decode "$(printf 'b\377d')" -o x.e3
	e3-cat x.e3 -o y.e3
	cmp x.e3 y.e3
	e3-dump x.e3 | grep -q 'source=b?d '
}
