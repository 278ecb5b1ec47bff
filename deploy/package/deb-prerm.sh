set -e

if [ "$1" = remove ]; then
	units="roost-backup.timer roost-backup.service roost.socket roost-tls.socket roost-ws.socket roost.service"
	if [ -x /usr/bin/deb-systemd-invoke ] && [ -d /run/systemd/system ]; then
		# shellcheck disable=SC2086
		deb-systemd-invoke stop $units || true
	fi
	if command -v systemctl >/dev/null; then
		# shellcheck disable=SC2086
		systemctl --quiet --no-reload disable $units || true
	fi
fi
