#!/bin/sh
# Installs what the tests need: the Go modules, the Debian packages in
# test/interop/packages.txt for the tests with real clients, Node.js and npm unless they are
# there in any version, and QEMU for the tests on arm64. Prints nothing if everything is
# installed. Without a network, it prints what is missing. If another program is installing
# packages, it waits for up to ten minutes. Arguments are files with the names of more Debian
# packages.
set -eu
cd "$(dirname "$0")/.."
go list -deps -test ./... >/dev/null || {
	echo "scripts/deps.sh: Go modules are missing and cannot be downloaded: run this once with a network, or set GOPROXY" >&2
	exit 1
}
missing=""
for p in $(cat test/interop/packages.txt "$@") qemu-user; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
done
# Not by their packages: that of Node.js from elsewhere has npm, and conflicts with Debian's.
command -v node >/dev/null || missing="$missing nodejs"
command -v npm >/dev/null || missing="$missing npm"
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

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
end=$(($(date +%s) + 600))

# apt-get has an option to wait for dpkg's lock, but none for the lock of the lists.
apt() {
	until $sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -o DPkg::Lock::Timeout=600 -qq "$@" >/dev/null 2>"$errors"; do
		if ! grep -Eq 'Could not get lock|Unable to lock|Unable to acquire' "$errors"; then
			cat "$errors" >&2
			echo "scripts/deps.sh: apt-get $1 failed, and these Debian packages are missing:$missing; run this once with a network, or install them by hand" >&2
			exit 1
		fi
		if [ "$(date +%s)" -ge "$end" ]; then
			cat "$errors" >&2
			echo "scripts/deps.sh: another program still holds this lock after ten minutes; see: ps -C apt-get,apt,dpkg,unattended-upgr" >&2
			exit 1
		fi
		sleep 2
	done
}

echo "installing$missing"
apt update
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing
