#!/bin/sh
# Gets what the tests need before they begin: the Go modules, and the Debian packages
# in test/interop/packages.txt for the tests with real clients and QEMU, which runs
# the tests for arm64. Quiet when they are all there; without a network it says what
# is missing. Where another program installs packages at this moment, it waits for
# it, ten minutes at most.
set -eu
cd "$(dirname "$0")/.."
go list -deps -test ./... >/dev/null || {
	echo "scripts/deps.sh: Go modules are missing and cannot be downloaded: run this once with a network, or set GOPROXY" >&2
	exit 1
}
missing=""
for p in $(cat test/interop/packages.txt) qemu-user; do
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

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
end=$(($(date +%s) + 600))

# apt-get waits for dpkg's lock with an option, but not for the lock of the lists.
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
