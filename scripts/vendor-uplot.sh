#!/bin/sh
# Downloads uPlot, the library that draws the dashboard's charts, from npm into
# admin/dashboard/assets/uplot: a fixed version, whose archive must have the SHA-512 given
# here. To update it, change both, run this, and look at the charts.
set -eu
version=1.6.32
sha512=2883159c6ebccefbb95d751b0b82d010f9e1c0ec41b8bc96d401eda66e882935c89a46cb824332fa369b8cb8122cc6ac36e186cd09bf7a9ded3a4c93c6989023

cd "$(dirname "$0")/../admin/dashboard/assets/uplot"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$dir" && npm pack --silent "uplot@$version" >/dev/null)
echo "$sha512  $dir/uplot-$version.tgz" | sha512sum --check --quiet
tar -xzf "$dir/uplot-$version.tgz" -C "$dir" package/dist/uPlot.iife.min.js package/dist/uPlot.min.css package/LICENSE
cp "$dir/package/dist/uPlot.iife.min.js" "$dir/package/dist/uPlot.min.css" "$dir/package/LICENSE" .
chmod 644 ./*
