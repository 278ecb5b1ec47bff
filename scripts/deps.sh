#!/bin/sh
# Installs the Debian packages that the tests with real clients need: those in
# test/interop/packages.txt. Quiet when they are all there.
set -eu
cd "$(dirname "$0")/.."
missing=""
for p in $(cat test/interop/packages.txt); do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
	echo "scripts/deps.sh: no apt-get here; please install:$missing" >&2
	exit 1
fi
sudo=""
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "scripts/deps.sh: as root, please run: apt-get install$missing" >&2; exit 1; }
	sudo=sudo
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
