#!/usr/bin/env bats
# What can be said of the packages without building them (make test-deb does that): that their control file parses, that every
# file that is installed is in one of them, and that the source archive is whole and repeatable.
load common

prepare() {
	command -v dpkg-architecture >/dev/null || perl -MDpkg::Control::Info -e1 2>/dev/null || skip "no dpkg-dev here"
	cd "$T" || return
}

@test "the control file parses; what make needs is what the packages are built with" {
	mkdir debian
	cp "$ROOT/packaging/debian/control" debian/
	perl -MDpkg::Control::Info -e '
		my $c = Dpkg::Control::Info->new("debian/control");
		print "source ", $c->get_source()->{Source}, "\n";
		print "package $_->{Package}\n" for $c->get_packages();
		(my $needs = $c->get_source()->{"Build-Depends"}) =~ s/\s+/ /g;
		print "needs $_\n" for map { s/ .*//r } split(/ *[,|] */, $needs);' >said
	grep -qx 'source e3' said
	[ "$(grep '^package' said | sort | paste -sd' ')" = "package e3-cuda package e3-onnx package e3-tools" ]
	# every library of tests/deps.sh
	sed -n '/^need_build/,/^}/p' "$ROOT/tests/deps.sh" | grep -oE "(lib|zlib1g)[a-z0-9-]*-dev" | sort -u >build
	[ "$(wc -l <build)" -ge 15 ]
	sed -n 's/^needs //p' said | sort -u >needs
	[ -z "$(comm -23 build needs)" ] || { comm -23 build needs; return 1; }
	# what is opened by name, not linked
	make -n -f "$ROOT/packaging/debian/rules" override_dh_gencontrol | grep -qE 'camera:Depends="libavdevice[1-9][0-9]*"'
}

@test "every file of make install is in one package" {
	make -s -C "$ROOT" B="$B" -o all DESTDIR="$T/to" PREFIX=/usr install >/dev/null
	cd to
	find . ! -type d | sed 's|^\./||' | sort >../installed
	for list in "$ROOT"/packaging/debian/*.install; do
		while read -r path; do
			[ ! -e "$path" ] || find "$path" ! -type d
		done <"$list"
	done | sort >../packed
	[ "$(wc -l <../installed)" -gt 50 ]
	diff ../installed ../packed
}

@test "the source archive has every tracked file, with its content and mode, and is the same twice" {
	git() { command git -c safe.directory="$ROOT" "$@"; }
	[ -e "$ROOT/.git" ] || skip "this is no checkout"
	# (packed in no time: xz is replaced)
	mkdir bin
	printf '#!/bin/sh\nexec cat\n' >bin/xz
	chmod +x bin/xz
	for k in 1 2; do
		(umask "07$k"; TZ=UTC$k PATH="$T/bin:$PATH" B=$T/$k "$ROOT/packaging/dist.sh" >/dev/null)
	done
	cmp 1/e3-*.tar.xz 2/e3-*.tar.xz
	mkdir got
	tar -xf 1/e3-*.tar.xz -C got
	git -C "$ROOT" ls-tree -rz --name-only HEAD | tr '\0' '\n' | sort >tracked
	(cd got/e3-* && find . ! -type d) | sed 's|^\./||' | sort >packed
	diff tracked packed
	[ -n "$(cd got/e3-* && find tests/run.sh -perm 755)" ]
}
