load common
# The cameras of a GLB: which are drawn, and what a file with many of them is like.

prepare() {
	cd "$T" || return 1
	export TMPDIR=$T
}
check() { /usr/bin/python3 -B "$ROOT/tests/export_check.py" "$@"; }
glb() { e3-export -q --conf-pct 0 --glb x.glb "$@"; }
# shape EXPRESSION...: of the document g, its meshes' numbers of vertices n, and its camera nodes c
shape() {
	PYTHONPATH=$ROOT/tests /usr/bin/python3 -B - "$@" <<-'PY'
		import sys, export_check
		g, get = export_check.glb("x.glb")
		n = {m["name"]: g["accessors"][m["primitives"][0]["attributes"]["POSITION"]]["count"] for m in g["meshes"]}
		c = [x for x in g["nodes"] if "camera" in x]
		for text in sys.argv[1:]:
		    if not eval(text):
		        sys.exit(f"not so: {text}: {n}, {len(c)} cameras, {len(g['nodes'])} nodes")
	PY
}

@test "--cameras: all, path, or N evenly over the path; the default leaves out what overlaps" {
	stream x.e3 frames=40
	glb --up first --cameras all x.e3
	check cameras x.glb x.e3
	glb --up first --cameras 100 x.e3
	check cameras x.glb x.e3
	glb --cameras path x.e3
	shape '"frustums" not in n' 'n["trajectory"] == 40' 'len(c) == 40'
	glb --cameras 1 x.e3
	shape 'n["frustums"] == 6'
	glb --cameras 7 x.e3
	shape 'n["frustums"] == 42' 'len(c) == 40'
	glb x.e3
	shape '12 < n["frustums"] <= 24 * 6' 'n["trajectory"] == 40'
	glb --frustum-size 0.001 x.e3 # small ones do not overlap: then 24
	shape 'n["frustums"] == 24 * 6'
	glb --no-cameras x.e3
	shape 'not c' 'list(n) == ["points"]'
	glb --frustum mesh --cameras 3 x.e3
	shape 'n["frustums"] == 3 * 14' '[m["primitives"][0]["mode"] for m in g["meshes"]] == [0, 4, 3]'
	glb --compat upstream x.e3
	shape 'len(g["meshes"]) == 41'
	fails 2 "--cameras" -- e3-export --glb x.glb --cameras 0 x.e3
	fails 2 "--cameras" -- e3-export --glb x.glb --cameras some x.e3
	fails 2 "--cameras and --no-cameras contradict each other" -- e3-export --glb x.glb --cameras all --no-cameras x.e3
	fails 2 "--cameras cannot be combined with --compat upstream" -- e3-export --glb x.glb --cameras 3 --compat upstream x.e3
}

@test "a camera that stands still is drawn twice, or as often as is asked for" {
	stream x.e3 frames=1 repeat=30
	glb x.e3
	shape 'n["frustums"] == 12' 'len(c) == 30'
	glb --cameras 10 x.e3
	shape 'n["frustums"] == 60'
	stream one.e3 frames=1
	glb one.e3
	shape 'n["frustums"] == 6' '"trajectory" not in n'
}

@test "2,000 cameras: three meshes of one primitive, names that sort, less than 600 bytes each" {
	stream x.e3 frames=20 w=2 h=2 repeat=100
	glb --cameras all x.e3
	shape 'len(g["meshes"]) == 3 and all(len(m["primitives"]) == 1 for m in g["meshes"])' 'len(g["accessors"]) == 7' 'n["frustums"] == 12000' \
		'len(c) == 2000' '[x["name"] for x in c] == sorted(x["name"] for x in c)' 'all(x["name"] for x in g["cameras"])'
	[ "$(stat -c %s x.glb)" -lt $((2000 * (600 + 6 * 16 + 20 * 4 + 16) + 8000 * 20)) ]
	glb x.e3
	shape 'n["frustums"] <= 24 * 6'
	edit() { /usr/bin/python3 -B "$ROOT/tests/edit_stream.py" "$@"; }
	stream late.e3 frames=3
	edit late.e3 later.e3 'for k, f in m:
    if k == 3: f["i"] += 999998'
	glb later.e3
	shape '[x["name"] for x in c] == ["cam_0999998", "cam_0999999", "cam_1000000"]'
}
