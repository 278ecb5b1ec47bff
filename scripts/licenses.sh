#!/bin/sh
# Prints the license texts of Go, of all modules that a program contains, and of uPlot,
# which the dashboard contains: scripts/licenses.sh [PACKAGE] (default: ./cmd/roost).
set -eu

show() { # NAME DIRECTORY
	found=
	for file in "$2"/LICEN[CS]E* "$2"/licenses/ftl.txt "$2"/COPYING* "$2"/NOTICE* "$2"/PATENTS*; do
		[ -f "$file" ] || continue
		found=yes
		printf '\n==== %s: %s\n\n' "$1" "$(basename "$file")"
		cat "$file"
	done
	[ "$found" ] || { echo "licenses.sh: $1 has no license file" >&2; exit 1; }
}

modules=$(go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}' "${1:-./cmd/roost}" | sort -u)
show Go "$(go env GOROOT)"
echo "$modules" | while read -r name dir; do
	[ -z "$name" ] || show "$name" "$dir"
done
dashboard=$(go list -deps -f '{{if eq .ImportPath "roost/admin/dashboard"}}{{.Dir}}{{end}}' "${1:-./cmd/roost}")
[ -z "$dashboard" ] || show uPlot "$dashboard/assets/uplot"
