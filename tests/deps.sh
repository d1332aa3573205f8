#!/bin/sh
# What e3 needs from outside: tests/deps.sh build|test|link...
# Finds what is missing by using it (pkg-config, command, import), says so, then installs it with apt-get. With nothing missing
# it is silent and takes a fraction of a second. Without apt-get or the right to use it: a list and exit 1.
set -u
cd "$(dirname "$0")/.." || exit 1

missing=
codecs=
wishes=
# Each line is: what to look for, and the package, or alternatives joined by '|' of which the first that exists is taken (names
# differ between releases).
lib() { pkg-config --exists "$1" 2>/dev/null || missing="$missing $2"; }
cmd() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
header() { echo "#include <$1>" | cc -E - >/dev/null 2>&1 || missing="$missing $2"; }
python() { /usr/bin/python3 -c "import $1" >/dev/null 2>&1 || missing="$missing $2"; }
# A codec of libheif: newer releases have a package for each, which is installed where apt knows it.
codec() {
	command -v apt-get >/dev/null 2>&1 || return 0
	if pkg-config --exists libheif 2>/dev/null && ! pkg-config --atleast-version=1.16 libheif; then return 0; fi
	dpkg-query -W -f='${Status}' "libheif-plugin-$1" 2>/dev/null | grep -q '^install ok' || codecs="$codecs libheif-plugin-$1"
}

# A program that some tests use, large or not in every release: tests skip, saying so, where it cannot be had.
wish() { command -v "$1" >/dev/null 2>&1 || wishes="$wishes $2"; }

need_build() {
	cmd cc build-essential
	cmd make make
	cmd pkg-config pkg-config
	lib libzmq libzmq3-dev
	pkg-config --exists msgpack-c 2>/dev/null || lib msgpack 'libmsgpack-c-dev|libmsgpack-dev'
	lib libavformat libavformat-dev
	lib libavcodec libavcodec-dev
	lib libavdevice libavdevice-dev
	lib libavutil libavutil-dev
	lib libswscale libswscale-dev
	lib libturbojpeg libturbojpeg0-dev
	lib libpng libpng-dev
	lib libheif libheif-dev
	codec libde265
	codec aomdec
	lib libtiff-4 libtiff-dev
	lib libwebp libwebp-dev
	lib zlib zlib1g-dev
	lib jansson libjansson-dev
	lib libcurl 'libcurl4-openssl-dev|libcurl4-gnutls-dev'
	lib OpenEXR libopenexr-dev
	lib libwebsockets libwebsockets-dev
	lib openblas libopenblas-pthread-dev
	header suitesparse/cholmod.h libsuitesparse-dev
}

need_test() {
	lib cmocka libcmocka-dev
	cmd prove perl
	cmd bats bats
	cmd git git
	cmd parallel parallel
	cmd sbatch slurm-client
	cmd slurmctld slurmctld
	cmd slurmd slurmd
	cmd munged munge
	cmd script 'bsdutils'
	cmd mandoc mandoc
	cmd colmap colmap
	cmd shellcheck shellcheck
	cmd clang-format 'clang-format-14|clang-format'
	cmd ctags universal-ctags
	cmd ffmpeg ffmpeg
	cmd heif-enc libheif-examples
	codec x265
	codec aomenc
	cmd clang clang
	ls "$(clang -print-resource-dir 2>/dev/null)"/lib/*/libclang_rt.fuzzer*.a >/dev/null 2>&1 ||
		missing="$missing libclang-rt-dev|libclang-common-14-dev"
	cmd ip iproute2
	cmd openssl openssl
	cmd pgrep procps
	cmd python3 python3
	python numpy python3-numpy
	python msgpack python3-msgpack
	python PIL python3-pil
	python zmq python3-zmq
	python h5py python3-h5py
	python scipy python3-scipy
	[ -e /usr/include/opencv4/opencv2/dnn.hpp ] || missing="$missing libopencv-dnn-dev"
	[ -e /usr/include/opencv4/opencv2/imgproc.hpp ] || missing="$missing libopencv-imgproc-dev"
	python onnx python3-onnx
	python google.protobuf python3-protobuf
	cmd zsh zsh
	cmd fish fish
	cmd node nodejs
	cmd npm npm
	python websocket python3-websocket
	wish chromium chromium
}

# Not needed: links the tests in a third of the time.
need_link() {
	wish mold mold
}

# The Khronos glTF validator and the reader of MCAP come from npm, at the versions tests/package.json names.
install_readers() {
	[ -f tests/package.json ] || return 0
	[ ! -e tests/node_modules/gltf-validator/package.json ] || [ ! -e tests/node_modules/@mcap/core/package.json ] || return 0
	echo "deps: readers for the tests are missing: npm ci in tests/"
	npm ci --prefix tests --no-audit --no-fund --fetch-retries=0 --loglevel=error >/dev/null ||
		echo "deps: npm could not fetch them; the tests that use them skip, saying so" >&2
}

# A browser of 122 MB, a linker: only where apt knows them.
install_wishes() {
	for name in $wishes; do
		apt-cache show "$name" >/dev/null 2>&1 || continue
		if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then continue; fi
		echo "deps: apt-get install --no-install-recommends $name"
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$name" >/dev/null ||
			echo "deps: no $name; what uses it does without: tests skip, saying so" >&2
	done
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

choose() { # NAME|NAME...: the first that apt knows
	for name in $(echo "$1" | tr '|' ' '); do
		if apt-cache show "$name" >/dev/null 2>&1; then
			echo "$name"
			return
		fi
	done
	echo "${1%%|*}"
}

install_packages() {
	echo "deps: missing:$missing"
	if ! command -v apt-get >/dev/null 2>&1 || { [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; }; then
		echo "deps: cannot install them here (needs apt-get, and root or sudo); the names above are Debian's" >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	as_root apt-get update -qq || echo "deps: apt-get update failed; trying with the lists that are here" >&2
	packages=
	for name in $missing; do packages="$packages $(choose "$name")"; done
	for name in $codecs; do
		apt-cache show "$name" >/dev/null 2>&1 && packages="$packages $name"
	done
	[ -n "$packages" ] || return 0
	echo "deps: apt-get install --no-install-recommends$packages"
	# shellcheck disable=SC2086 # a list of names
	as_root apt-get install -qq -y --no-install-recommends $packages >/dev/null || {
		echo "deps: installing failed:$packages" >&2
		exit 1
	}
}

[ $# -gt 0 ] || { echo "usage: tests/deps.sh build|test|link..." >&2; exit 2; }
for group in "$@"; do
	case $group in
	build) need_build ;;
	test) need_test ;;
	link) need_link ;;
	*) echo "deps: unknown group '$group' (build, test, link)" >&2; exit 2 ;;
	esac
done
# Where nothing else is missing, the lists that are here tell which codecs there are.
if [ -z "$missing" ]; then
	for name in $codecs; do
		! apt-cache show "$name" >/dev/null 2>&1 || missing="$missing $name"
	done
	codecs=
fi
[ -z "$missing" ] || install_packages
[ -z "$wishes" ] || install_wishes
case " $* " in *" test "*) install_readers ;; esac
