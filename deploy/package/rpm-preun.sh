# The last version is removed.
if [ "$1" = 0 ] && command -v systemctl >/dev/null; then
	units="roost-backup.timer roost-backup.service roost.socket roost-tls.socket roost-ws.socket roost.service"
	# shellcheck disable=SC2086
	[ ! -d /run/systemd/system ] || systemctl stop $units || true
	# shellcheck disable=SC2086
	systemctl --quiet --no-reload disable $units || true
fi
