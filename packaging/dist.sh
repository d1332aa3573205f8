#!/bin/bash
# A source archive of the last commit, $B/e3-VERSION.tar.xz: the same bytes for the same commit; builds without git.
set -eu -o pipefail
cd "$(dirname "$0")/.."
B=${B:-build}
version=$(sed -n 's/^#define E3_VERSION "\(.*\)"/\1/p' lib/e3/version.h)
git() { command git -c safe.directory="$PWD" "$@"; }
git rev-parse -q --verify HEAD >/dev/null || { echo "make dist: this is no git checkout with a commit" >&2; exit 1; }
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "make dist: changes that are not committed are not in it" >&2
mkdir -p "$B"
to=$B/e3-$version.tar.xz
# (a fixed umask, whatever the user's configuration; one thread, so that the bytes do not depend on the machine)
git -c tar.umask=0022 archive --format=tar --prefix="e3-$version/" HEAD | xz -T1 -6 >"$to.tmp.$$"
mv "$to.tmp.$$" "$to"
echo "$to"
