#!/bin/sh
# Shows the collector at work on this machine: see usage() below, demo/demo.py for what happens.
set -eu

root=$(cd "$(dirname "$0")" && pwd)

usage()
{
	cat <<END
usage: ./demo.sh [--seconds N] [--logs DIR | --cluster]

Installs what is missing from Debian's packages, builds into build/, and for N seconds (20) lets drave-collector follow
container logs and ship them to two ends at once, a Kafka cluster (librdkafka's mock) and an HTTP receiver, both in
processes of their own on loopback. Shows rates, lag and compression meanwhile, and at the end counts every line at both
ends: written, delivered, lost, duplicated. Then drave-controller places collectors on the nodes of a cluster whose API
server is one of the tests' own: a node joins, one is cordoned, the template changes and rolls, one leaves, and every line
is counted again. Ends with 0 if none is missing.

The logs are written by the demo itself, in a temporary tree: several pods, rotation and restarts included. With --logs
they are those below DIR, which looks like /var/log/pods; they are only read, and nothing is placed.

With --cluster all of it is real: a Kubernetes control plane, a node with kubelet and containerd, a Kafka broker, and both
programs installed by kubectl apply -k, for N seconds (30). Needs root, Go 1.26, Java 17 and Maven; the first time it builds
Kubernetes, which takes some ten minutes. Leaves nothing behind but what it installed and built (~/.cache/drave-real).
END
}

cluster= default=20
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	--cluster) cluster=yes default=30; shift; continue ;;
	--seconds | --logs) [ $# -ge 2 ] || { usage >&2; exit 64; } ;;
	*) usage >&2; exit 64 ;;
	esac
	case $1 in
	--seconds) seconds=$2 ;;
	--logs) logs=$2 ;;
	esac
	shift 2
done
case ${seconds=$default} in
'' | *[!0-9]* | 0) echo "demo.sh: --seconds needs a number above 0" >&2; exit 64 ;;
esac
if [ "${logs+given}" ] && [ ! -d "$logs" ]; then
	echo "demo.sh: no such directory: '$logs'" >&2
	exit 64
fi

if [ "$cluster" ]; then
	[ -z "${logs+given}" ] || { usage >&2; exit 64; }
	"$root/tools/build" -p build,demo,node drave-collector drave-controller
	exec python3 "$root/demo/cluster.py" --build "$root/build" --seconds "$seconds"
fi
"$root/tools/build" -p build,demo drave-collector drave-controller bench/gen bench/receiver
exec python3 "$root/demo/demo.py" --build "$root/build" --seconds "$seconds" ${logs+--logs "$logs"}
