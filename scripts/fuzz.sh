#!/bin/bash
# Runs every fuzz target in the given directories (default: all) for FUZZTIME each
# (default: 10s). Go minimizes each interesting input for up to a minute unless told otherwise,
# which would be most of the time.
set -eu -o pipefail
cd "$(dirname "$0")/.."
output=$(mktemp)
trap 'rm -f "$output"' EXIT
for file in $(grep -rl --include='*_test.go' '^func Fuzz' "${@:-.}"); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "$(dirname "$file") $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 1s "$(dirname "$file")" 2>&1 | tee "$output" && continue
		# Before Go 1.27, go test sometimes reports the end of the time as a failure,
		# mostly on busy machines (https://go.dev/issue/75804). The output is then
		# this line, without a failing input.
		grep -qx ' *context deadline exceeded' "$output" && ! grep -q 'Failing input written' "$output" || exit 1
		echo "$target: time is up, no failure found"
	done
done
