#!/bin/bash
# The packages of `make deb` in a clean system: test.sh [SUITE], as root. Makes it with debootstrap (SUITE: bookworm), installs the
# packages with apt, which finds what they depend on, runs e3 on the demo clip, removes them, and looks for what is left.
# Environment: B; MIRROR (default: the one in apt's own configuration); E3_CHROOT: a folder with a system, made if it is not there
# and kept. Minutes, and 3 GB in $B.
set -eu -o pipefail
cd "$(dirname "$0")/.."
B=$(realpath -m "${B:-build}")
suite=${1:-bookworm}
root=${E3_CHROOT:-$B/chroot-$suite}
say() { printf '== %s (%d s)\n' "$*" "$SECONDS"; }
die() {
	echo "test-deb: $*" >&2
	exit 1
}
[ "$(id -u)" -eq 0 ] || die "debootstrap and chroot need root"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
[ -n "$(ls "$B"/deb/e3-tools_*.deb 2>/dev/null)" ] || die "there are no packages: make deb"

# Of apt's sources the first that has the suite.
# shellcheck disable=SC2016 # for apt, not for the shell
if [ -z "${MIRROR:-}" ]; then
	MIRROR=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(REPO_URI)' 2>/dev/null | awk -v s="$suite" '$2 == s { print $3; exit }')
	[ -n "$MIRROR" ] || die "apt's sources do not have $suite: say where it is with MIRROR"
fi

in_root() { chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
clean_up() {
	for m in dev/pts dev proc; do
		! mountpoint -q "$root/$m" || umount "$root/$m" 2>/dev/null || umount -l "$root/$m" || true
	done
	[ -n "${E3_CHROOT:-}" ] || rm -rf --one-file-system "$root"
}
trap clean_up EXIT

if [ ! -x "$root/usr/bin/apt-get" ]; then
	say "debootstrap $suite"
	mkdir -p "$root"
	debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$MIRROR" >"$root.log" 2>&1 || die "debootstrap failed: $root.log"
fi
# (plug-ins and the programs beside e3 are found through /proc)
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc" || die "/proc cannot be mounted in it"
printf 'Apt::Install-Recommends "false";\n' >"$root/etc/apt/apt.conf.d/90e3"

# shellcheck disable=SC2016 # for dpkg, not for the shell
state() { # what the system has: packages, and files outside of /proc, caches and logs
	in_root dpkg-query -W -f='${Package} ${Status}\n' | sort
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./var/cache -o -path ./var/lib/apt \
		-o -path ./var/lib/dpkg -o -path ./var/log -o -path ./etc/ld.so.cache -o -path ./root \) -prune -o -print | sort)
}

rm -rf "$root/tmp/e3"
mkdir -p "$root/tmp/e3"
cp "$B"/deb/e3-tools_*.deb "$B"/deb/e3-onnx_*.deb "$root/tmp/e3"
cp pipelines/demo/clip.mp4 tests/fuzz/corpus/onnx/sky "$root/tmp/e3"
say "apt update"
in_root apt-get update -qq
state >"$root/tmp/before"

say "apt install e3-tools"
in_root sh -c 'apt-get install -y -qq /tmp/e3/e3-tools_*.deb' >"$root/tmp/apt.log" 2>&1 || { tail -20 "$root/tmp/apt.log"; die "apt could not install it"; }
! in_root dpkg-query -l 'libopencv*' 2>/dev/null | grep '^ii' || die "e3-tools brought OpenCV"

say "e3 doctor"
in_root e3 doctor | tee "$root/tmp/doctor" || true
! grep -E '^BAD' "$root/tmp/doctor" || die "e3 doctor finds faults"
say "e3 clip.mp4"
in_root sh -c 'cd /tmp/e3 && e3 clip.mp4'
for f in scene.glb mesh.glb points.ply cameras.tum sheet.png run.e3; do
	[ -s "$root/tmp/e3/clip.e3d/$f" ] || die "clip.e3d/$f is not there"
done
head -c 4 "$root/tmp/e3/clip.e3d/scene.glb" | grep -q glTF || die "scene.glb is no GLB"

say "e3-onnx: the plug-in, and that e3-mask finds it"
masks() { in_root sh -c 'e3-mask --onnx /tmp/e3/sky --classes sky=0 /tmp/e3/clip.e3d/run.e3 -o /dev/null' 2>&1; }
! said=$(masks) || die "e3-mask works without it"
grep -q 'libe3-onnx.so is not installed' <<<"$said" || die "e3-mask does not say what is missing"
in_root sh -c 'apt-get install -y -qq /tmp/e3/e3-onnx_*.deb' >>"$root/tmp/apt.log" 2>&1 || { tail -20 "$root/tmp/apt.log"; die "apt could not install it"; }
! in_root sh -c 'ldd /usr/lib/e3/libe3-onnx.so' | grep 'not found' || die "the plug-in lacks a library"
masks || die "e3-mask does not work with it"

say "apt purge, autoremove"
in_root sh -c 'apt-get purge -y -qq e3-tools e3-onnx && apt-get autoremove --purge -y -qq' >>"$root/tmp/apt.log" 2>&1
state >"$root/tmp/after"
diff "$root/tmp/before" "$root/tmp/after" | grep -E '^[<>]' >"$root/tmp/left" || true
if grep -i e3 "$root/tmp/left"; then die "files of e3 are left"; fi
echo "left by the packages they needed: $(wc -l <"$root/tmp/left") files"
say "done"
