#!/bin/bash
# Debian packages from the archive of `make dist`: into $B/deb, checked by lintian where it is. e3-cuda only where nvcc is.
# Environment: CUDA, NVCC, CUDA_ARCHS as for `make cuda`; E3_CHANGES: the text of the changelog's entry.
set -eu -o pipefail
cd "$(dirname "$0")/.."
B=$(realpath -m "${B:-build}")
version=$(sed -n 's/^#define E3_VERSION "\(.*\)"/\1/p' lib/e3/version.h)
archive=$B/e3-$version.tar.xz
for tool in dpkg-buildpackage dh xz; do
	command -v $tool >/dev/null || { echo "make deb: $tool is missing: apt-get install dpkg-dev debhelper xz-utils" >&2; exit 1; }
done
[ -s "$archive" ] || { echo "make deb: $archive is not there: make dist" >&2; exit 1; }
rm -rf "$B/deb"
mkdir -p "$B/deb"
cd "$B/deb"
tar -xf "$archive"
cd "e3-$version"
cp -r packaging/debian debian
# The time of the commit, which the archive's files have.
SOURCE_DATE_EPOCH=$(stat -c %Y lib/e3/version.h)
export SOURCE_DATE_EPOCH
cat >debian/changelog <<END
e3 ($version) unstable; urgency=medium

  * ${E3_CHANGES:-Version $version.}

 -- $(sed -n 's/^Maintainer: //p' debian/control)  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
if [ ! -x "${NVCC:-${CUDA:-/usr/local/cuda}/bin/nvcc}" ] || [ -n "${E3_NO_CUDA:-}" ]; then
	echo "make deb: no nvcc: without e3-cuda" >&2
	export DEB_BUILD_PROFILES=pkg.e3.nocuda
fi
jobs=$(nproc)
export DEB_BUILD_OPTIONS="parallel=$jobs noautodbgsym ${DEB_BUILD_OPTIONS:-}"
dpkg-buildpackage -b -us -uc >../build.log 2>&1 || {
	tail -30 ../build.log >&2
	echo "make deb: building failed: $B/deb/build.log" >&2
	exit 1
}
cd ..
rm -rf "e3-$version"
# (Debian's rules wherever it runs)
if command -v lintian >/dev/null; then
	lintian --profile debian --fail-on error,warning ./*.changes
else
	echo "make deb: not checked: there is no lintian" >&2
fi
ls ./*.deb
