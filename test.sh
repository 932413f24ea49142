#!/bin/bash
# Builds and tests drave on this machine: installs what is missing, then make check and make lint.
set -euo pipefail

root=$(cd "$(dirname "$0")" && pwd)

usage()
{
	cat <<END
usage: ./test.sh [-d DIR] [-c 'CONFIGURE OPTIONS'] [--no-lint] [TEST...]

Installs what is missing from Debian's packages, builds into DIR (build/), runs make check and make lint there. With
TESTs (tests/unit/test_cri, tests/flow/test_rotation.py ...) only these, and no lint. With CI=true nothing is skipped
for a missing counterpart (Java, Maven, kcat): it fails. DRAVE_LONG=1 runs the long variants of the flow tests.

Prints one line a test, the end of what failed, and the summary last. A test's output is in DIR/TEST.log, make's in
DIR/check.log. Ends with 0 if all is well.
END
}

dir=$root/build options= lint=yes
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	-d | -c) [ $# -ge 2 ] || { usage >&2; exit 64; } ;;&
	-d) dir=$2; shift 2 ;;
	-c) options=$2; shift 2 ;;
	--no-lint) lint=; shift ;;
	-*) usage >&2; exit 64 ;;
	*) break ;;
	esac
done
[ $# = 0 ] || lint=

# The end of what each failed test said; all that make said if it never came to testing.
show_failures()
{
	if ! grep -q '^# TOTAL' check.log; then
		tail -n 60 check.log
		return
	fi
	sed -n -E 's/^(FAIL|ERROR|XPASS): //p' check.log | while read -r test; do
		echo "---- $test, its end"
		tail -n 60 "${test%.py}.log"
	done
}

parts=build,test
[ -z "$lint" ] || parts=$parts,lint
[ "${CI:-}" != true ] || parts=$parts,ci,node
"$root/tools/build" -d "$dir" -p "$parts" -c "$options"
# What flow tests run against, built before them and not in the midst of one.  Without Go 1.26 these tests are skipped, which CI does not allow.
if [ $# = 0 ] && go version 2>/dev/null | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'; then
	echo "building a real Kubernetes control plane (some ten minutes the first time) ..." >&2
	what=
	! command -v containerd >/dev/null || what=kubelet # for a real node
	"$root/tests/real/kubernetes/control-plane.sh" install $what >"$dir/control-plane.log" 2>&1 || { tail -n 40 "$dir/control-plane.log"; exit 1; }
fi
cd "$dir"
echo "testing: make check in $dir" >&2
tests=passed
make -s -k -j"$(nproc)" check ${1+"TESTS=$*"} 2>&1 | tee check.log |
	grep --line-buffered -E '^(PASS|SKIP|XFAIL|FAIL|XPASS|ERROR): ' || tests=failed
[ $tests = passed ] || show_failures
[ -z "$lint" ] || make -s lint || lint=failed
# The last line: automake's summary, on one line.
echo "$(basename "$dir"): tests $tests${lint:+, lint ${lint/yes/clean}}" \
	$(grep -E '^# (TOTAL|PASS|SKIP|XFAIL|FAIL|XPASS|ERROR):' check.log || echo "(no test ran)")
[ $tests = passed ] && [ "$lint" != failed ]
