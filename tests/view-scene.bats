#!/usr/bin/env bats
# The 3D view of e3-view's page, as far as it needs no browser (tests/view/scene.mjs says what), and the files it makes.
load common

prepare() {
	cd "$T" || return
}

@test "the parts of the view compute what they must" {
	prepare
	node "$ROOT/tests/view/scene.mjs" "$T" >log || { cat log; return 1; }
	# node 18 and 20 print TAP, 22 a list.
	grep -qE '^(#|ℹ) fail 0$' log || { cat log; return 1; }
	grep -qE '^(#|ℹ) pass [1-9][0-9]' log || { cat log; return 1; }
	# The Khronos validator has nothing to say of the GLBs.
	[ ! -e "$ROOT/tests/node_modules/gltf-validator/package.json" ] || node "$ROOT/tests/validate_gltf.js" shown.glb none.glb
}

@test "the files of the page can be one script: no name is used twice at the top" {
	prepare
	while read -r file; do
		sed -nE 's/^(export )?(async )?(function|class|const|let) +([A-Za-z_$][A-Za-z0-9_$]*).*/\4/p' "$ROOT/lib/view/page/$file"
	done <"$ROOT/lib/view/page/order" | sort | uniq -d >twice
	[ ! -s twice ] || { cat twice; return 1; }
}
