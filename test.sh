#!/bin/sh
# Builds and tests drave on this machine: installs what is missing, then make check and make lint.
set -eu

root=$(cd "$(dirname "$0")" && pwd)

usage()
{
	cat <<END
usage: ./test.sh [-d DIR] [-c 'CONFIGURE OPTIONS'] [--no-lint] [TEST...]

Installs what is missing from Debian's packages, builds into DIR (build/), runs make check and make lint there. With
TESTs (tests/unit/test_cri, tests/flow/test_rotation.py ...) only these, and no lint. With CI=true nothing is skipped
for a missing counterpart (Java, Maven, kcat): it fails. DRAVE_LONG=1 runs the long variants of the flow tests.

A test's output is in DIR/TEST.log. Ends with 0 if all is well.
END
}

dir=$root/build options= lint=yes
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	-d) dir=$2; shift 2 ;;
	-c) options=$2; shift 2 ;;
	--no-lint) lint=no; shift ;;
	-*) usage >&2; exit 64 ;;
	*) break ;;
	esac
done

parts=build,test
[ $lint = no ] || parts=$parts,lint
[ "${CI:-}" != true ] || parts=$parts,ci
"$root/tools/build" -d "$dir" -p $parts -c "$options"
cd "$dir"
if [ $# -gt 0 ]; then
	exec make -s check TESTS="$*"
fi
echo "testing: make check in $dir" >&2
make -s -j"$(nproc)" check || {
	echo "---- the ends of what failed ----" >&2
	grep -l -E '^(:test-result: (FAIL|ERROR))' $(find . -name '*.trs') | sed 's/trs$/log/' | xargs -r tail -n 40 >&2
	exit 1
}
[ $lint = no ] || make -s lint
