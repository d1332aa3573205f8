#!/bin/bash
# A clip, as from a phone, becomes what programs for Gaussian splatting are trained on: a COLMAP folder with pictures of full size.
#
#   clip-to-splats.sh [-r] [-e SECONDS] [-b BUDGET] CLIP OUT
#
#   -r   refine the cameras with COLMAP, which has to be installed: features, matches, triangulation, bundle adjustment
#   -e   of every SECONDS one picture, the sharpest (0.5). Trainers like 50 to 300 pictures
#   -b   the network's memory (10f: ten frames of each layer)
#
# OUT/colmap    images/, sparse/0/, transforms.json: gsplat, nerfstudio, Brush and the original trainer open it (OUT/refined with -r)
# OUT/splat.ply flat splats, untrained, for a first look; OUT/scene.glb points and cameras; OUT/run.e3 the recording
#
# To change: e3-infer --fit-mode long for portrait clips whole; e3-export --colmap-every 0.5% for keyframes only, --mask sky after
# e3-mask --sky to leave the sky out. E3_MODEL names the checkpoint; `e3-model fetch streamvggt` gets one.
set -eu -o pipefail
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }
usage() { echo "usage: ${0##*/} [-r] [-e SECONDS] [-b BUDGET] CLIP OUT (-h: more)" >&2; exit 2; }

refine='' every=0.5 budget=10f
while getopts re:b:h o; do
	case $o in
	r) refine=yes ;;
	e) every=$OPTARG ;;
	b) budget=$OPTARG ;;
	h) help; exit ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 2 ] || usage
clip=$1 out=$2
case $out in -*) out=./$out ;; esac
[ -e "$clip" ] || { echo "${0##*/}: $clip: no such file" >&2; exit 1; }
[ ! -e "$out/pictures" ] || { echo "${0##*/}: $out/pictures is there already: remove it, or take another folder" >&2; exit 1; }
[ -z "$refine" ] || command -v colmap >/dev/null || { echo "${0##*/}: -r needs colmap" >&2; exit 1; }

mkdir -p "$out/pictures"
e3-decode --every "$every" --sharpest --images "$out/pictures" -- "$clip" |
	e3-infer --outputs pose,depth --budget "$budget" --loops |
	e3-align |
	e3-cat --tee "$out/run.e3" |
	e3-export --colmap "$out/colmap" --images "$out/pictures" --splat "$out/splat.ply" --glb "$out/scene.glb"
[ -n "$refine" ] || { echo "train with: gsplat --data_dir $out/colmap, or: ns-train splatfacto --data $out/colmap"; exit; }

# Points are found in the pictures anew, by the poses that the network gave, and adjusted with them (e3-export(1)).
# use_gpu 0 works without a screen; 1 is faster where COLMAP has CUDA.
work=$(mktemp -d "$out/refine.XXXXXX")
trap 'rm -rf "$work"' EXIT
camera=$(awk '!/^#/ { print $5 "," $6 "," $7 "," $8; exit }' "$out/colmap/sparse/0/cameras.txt")
mkdir -p "$work/tri" "$work/ba"
{
	colmap feature_extractor --database_path "$work/db" --image_path "$out/colmap/images" --SiftExtraction.use_gpu 0 \
		--ImageReader.single_camera 1 --ImageReader.camera_model PINHOLE --ImageReader.camera_params "$camera"
	colmap sequential_matcher --database_path "$work/db" --SiftMatching.use_gpu 0
	colmap point_triangulator --database_path "$work/db" --image_path "$out/colmap/images" \
		--input_path "$out/colmap/sparse/0" --output_path "$work/tri" --clear_points 1
	colmap bundle_adjuster --input_path "$work/tri" --output_path "$work/ba"
} >"$out/refine.log" 2>&1 || { echo "${0##*/}: colmap failed: $(tail -n 1 "$out/refine.log") ($out/refine.log)" >&2; exit 1; }
rm -rf "$out/refined"
mkdir -p "$out/refined/sparse"
mv "$work/ba" "$out/refined/sparse/0"
ln -s ../colmap/images "$out/refined/images"
echo "train with: gsplat --data_dir $out/refined"
