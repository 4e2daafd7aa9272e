#!/usr/bin/env bash
# Rebuild the programs and compare them with the committed ones, then see that tests notice when guards are taken out; where
# the toolchain is missing and cannot be installed, say that neither was run.
# A command that is given is run once the programs are compared, and the sample of guards takes what it leaves idle.
set -uo pipefail
cd "$(dirname "$0")/.."
rm -f programs/target/checked/compiler-moved-on
make --no-print-directory programs-check
status=$?
if [ "$status" -eq 2 ] && [ "$(id -u)" -ne 0 ] && ! programs/toolchain/setup.sh > /dev/null 2>&1; then
    echo "programs-check: NOT RUN, for the toolchain is not installed (make test installs it as root)" >&2
    echo "mutation-sample: NOT RUN, for the same reason" >&2
    [ $# -gt 0 ] || exit 0
    exec "$@"
fi
[ "$status" -eq 0 ] || exit "$status"
# Built from the sources, with whatever compiler there is: so it does not matter here whether that has moved on.
sample=(make --no-print-directory mutation-sample)
[ $# -gt 0 ] || exec "${sample[@]}"
# The tests are run on what this machine's compiler makes, where that has moved on.
[ ! -e programs/target/checked/compiler-moved-on ] || export CAMPUS_ARTIFACTS=$PWD/programs/target/checked
said=$(mktemp)
trap 'rm -f "$said"' EXIT
nice -n 19 "${sample[@]}" > "$said" 2>&1 &
sampled=$!
"$@"
status=$?
wait "$sampled"
found=$?
cat "$said"
[ "$status" -eq 0 ] || exit "$status"
exit "$found"
