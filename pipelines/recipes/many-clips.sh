#!/bin/bash
# A hundred clips: on the GPUs or cores of this machine, or as an array of a Slurm cluster. Run it again after an interruption or with more
# clips: it does what is missing.
#
#   many-clips.sh [--gpus N | --jobs N | --slurm 'SBATCH OPTIONS'] [--limit N] [--demo-model] OUT CLIP...
#
#   --gpus N      N clips at a time, each on a GPU of its own; --jobs N: on the processor (1)
#   --slurm ...   as '--gres=gpu:1 --cpus-per-task=4 --time=1:00:00'; OUT, clips and programs have the same path on all machines
#   --limit N     at most N clips of the cluster at a time (16)
#   --demo-model  the bundled model, which knows rendered rooms only
#
# OUT/NAME/scene.glb, mesh.glb, cameras.tum, run.json: the results of clip NAME. OUT/records.jsonl: a line for each clip. At the end
# the clips that failed are listed with their reasons, and the exit status is 1.
#
# To change: the three lines of options below. E3_MODEL names the checkpoint; `e3-model fetch streamvggt` gets one.
set -eu -o pipefail
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }
usage() { echo "usage: ${0##*/} [--gpus N | --jobs N | --slurm 'OPTIONS'] [--limit N] [--demo-model] OUT CLIP... (-h: more)" >&2; exit 2; }

decode='--every 0.5 --fit 518'
infer='--budget 10f'
export_='--glb {}/scene.glb --mesh {}/mesh.glb --tum {}/cameras.tum'

how=(run --jobs 1) limit=16 more=()
while [ $# -gt 0 ]; do
	case $1 in
	--gpus | --jobs | --slurm | --limit)
		[ $# -ge 2 ] || usage
		case $1 in
		--slurm) how=(submit --wait --sbatch "$2") ;;
		--limit) limit=$2 ;;
		*) how=(run "$1" "$2") ;;
		esac
		shift 2
		;;
	--demo-model) more+=("$1"); shift ;;
	-h | --help) help; exit ;;
	--) shift; break ;;
	-*) usage ;;
	*) break ;;
	esac
done
[ $# -ge 2 ] || usage
out=$1
shift
case $out in -*) out=./$out ;; esac
[ "${how[0]}" = run ] || how+=(--limit "$limit")

mkdir -p "$out"
status=0
e3-clips "${how[@]}" "${more[@]}" --decode "$decode" --infer "$infer" --export "$export_" "$out" "$@" >/dev/null || status=$?
[ "$status" -le 1 ] || exit "$status"
e3-clips status "$out" >"$out/records.jsonl" || status=1
echo "$(grep -c '"status":"done"' "$out/records.jsonl" || true) of $(wc -l <"$out/records.jsonl") clips are done: $out/records.jsonl"
grep -v '"status":"done"' "$out/records.jsonl" | sed -E 's/.*"clip":"([^"]*)".*"status":"([^"]*)".*"error":"(.*)".*/\1: \2: \3/' || true
exit "$status"
