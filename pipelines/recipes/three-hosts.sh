#!/bin/bash
# A camera on one host, the GPU on another, the results on a third. Everything between them is encrypted and authenticated by keys.
#
#   three-hosts.sh keys ROLE                        once on each host: makes ROLE.key and ROLE.key.pub; ROLE: camera, gpu, results
#   three-hosts.sh results PORT OUT                 on the third host: records OUT/run.e3; at the end OUT/scene.glb, OUT/cameras.tum
#   three-hosts.sh gpu PORT RESULTS_HOST:PORT [all] on the host with the GPU
#   three-hosts.sh camera SOURCE GPU_HOST:PORT [OPTION...]   where the camera is: /dev/video0, rtsp://..., a file (with --all: every frame
#                                                   of it); OPTIONS are e3-decode's
#
# Keys lie in the current folder, or in E3_KEYS. Copy over a connection that you trust: gpu.key.pub to both others, camera.key.pub
# and results.key.pub to the GPU's host. The order in which the three are started does not matter; each waits a minute for its
# neighbour (E3_WAIT, seconds). Ctrl-C at the camera ends all three in order. A camera is faster than the network: the newest
# frame is taken and others are dropped, unless gpu is told `all`, which suits files.
#
# To change: e3-decode --every 0.5 for two pictures a second; e3-infer --budget; what the third host makes, for example a live copy
# for any number of readers with e3-cat --tee zmq:pub:... (e3-pipelines(7), FAN-OUT).
set -eu -o pipefail
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }
usage() { echo "usage: ${0##*/} keys ROLE | results PORT OUT | gpu PORT HOST:PORT [all] | camera SOURCE HOST:PORT [OPTION...] (-h: more)" >&2; exit 2; }

keys=${E3_KEYS:-.}
wait=(--timeout "${E3_WAIT:-60}")
# need KEY...: a clear word about keys, before anything is opened
need() {
	local k
	for k; do [ -r "$keys/$k" ] || { echo "${0##*/}: $keys/$k is missing: see ${0##*/} -h" >&2; exit 1; }; done
}
port() { case $1 in '' | *[!0-9]*) usage ;; esac }
address() { case $1 in ?*:*[0-9]) ;; *) usage ;; esac }

case ${1:-} in
-h | --help) help ;;
keys)
	[ $# -eq 2 ] || usage
	case $2 in camera | gpu | results) ;; *) usage ;; esac
	mkdir -p "$keys"
	[ ! -e "$keys/$2.key" ] || { echo "${0##*/}: $keys/$2.key is there already" >&2; exit 1; }
	e3-cat --keygen "$keys/$2.key"
	;;
results)
	[ $# -eq 3 ] || usage
	port "$2"
	need results.key gpu.key.pub
	out=$3
	case $out in -*) out=./$out ;; esac
	mkdir -p "$out"
	e3-cat "${wait[@]}" --curve-key "$keys/results.key" --curve-allow "$keys/gpu.key.pub" --tee "$out/run.e3" "zmq:pull:tcp://*:$2" |
		e3-align |
		e3-export --glb "$out/scene.glb" --tum "$out/cameras.tum"
	;;
gpu)
	[ $# -eq 3 ] || [ $# -eq 4 ] || usage
	port "$2"
	address "$3"
	case ${4:-} in '') drop=(--drop oldest --queue 1) ;; all) drop=() ;; *) usage ;; esac
	need gpu.key camera.key.pub results.key.pub
	e3-cat "${wait[@]}" "${drop[@]}" --curve-key "$keys/gpu.key" --curve-allow "$keys/camera.key.pub" "zmq:pull:tcp://*:$2" |
		e3-infer "${wait[@]}" --budget 10f --loops --curve-key "$keys/gpu.key" --curve-server "$keys/results.key.pub" -o "zmq:push:tcp://$3"
	;;
camera)
	[ $# -ge 3 ] || usage
	address "$3"
	need camera.key gpu.key.pub
	e3-decode "${wait[@]}" --fit 518 "${@:4}" --curve-key "$keys/camera.key" --curve-server "$keys/gpu.key.pub" -o "zmq:push:tcp://$3" -- "$2"
	;;
*) usage ;;
esac
