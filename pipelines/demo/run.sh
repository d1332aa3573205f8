#!/bin/bash
# The pipeline on the bundled clip with the bundled model: run.sh [OUTPUT FOLDER], default out. Prints what it made.
set -eu -o pipefail
demo=$(cd "$(dirname "$0")" && pwd)
PATH=${B:-$demo/../../build}/bin:$PATH
# shellcheck source=pipelines/group.sh
. "$demo/../group.sh"
out=${1:-out}
mkdir -p "$out"

start=$EPOCHREALTIME
pipeline() {
	e3-decode --all "$demo/clip.mp4" |
		e3-infer --P 0.2 --model "$demo/model.safetensors" |
		e3-cat --tee-block "$out/demo.e3" |
		e3-evict-stats --pass --sheet "$out/demo.png" -o "$out/demo.txt" |
		e3-export --glb "$out/demo.glb" --mesh "$out/demo-mesh.glb"
}
in_group pipeline
seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')

# As it can be typed: the tools of a build are not in PATH.
tool() { if [ -x "${B:-$demo/../../build}/bin/$1" ]; then realpath --relative-to=. "${B:-$demo/../../build}/bin/$1"; else echo "$1"; fi; }
size() { awk -v b="$(stat -c %s "$1")" 'BEGIN { printf "%.1f MB", b / 1e6 }'; }
frames=$(sed -n 's/^run .*, \([0-9]*\) frames\?,.*/\1/p' "$out/demo.txt")
echo "$out/demo-mesh.glb  the surface, lit and solid ($(size "$out/demo-mesh.glb")): open it in Blender or any glTF viewer"
echo "$out/demo.glb  the points and the cameras ($(size "$out/demo.glb")): any glTF viewer; Blender shows points without colours"
echo "$out/demo.png  frames, depth, and what the cache kept of them"
echo "$out/demo.e3  the recording, to look at in a browser: $(tool e3-view) $out/demo.e3"
echo "$out/demo.txt  what the cache did, in words and figures"
awk -v n="$frames" -v s="$seconds" 'BEGIN { printf "%d frames in %.1f s: %.1f frames/s, from video to points and mesh\n", n, s, n / s }'
sed -n 's/^memory  *\(.*\)/cache: \1/p' "$out/demo.txt"
echo "The model was trained on rendered rooms only. For photographs see README.md, \"The released checkpoint\"."
