set -e

case "$1" in
configure)
	create_user
	create_directories
	if [ ! -e /etc/roost/roost.toml ] || [ -e /etc/roost/roost.toml.unchanged ]; then
		install -D -m 640 -g roost /usr/share/roost/roost.toml /etc/roost/roost.toml
	fi
	rm -f /etc/roost/roost.toml.unchanged
	with_systemd daemon-reload
	if [ -z "$2" ]; then
		next_steps
	elif [ -x /usr/bin/deb-systemd-invoke ] && [ -d /run/systemd/system ]; then
		deb-systemd-invoke try-restart roost.service || true
	fi
	;;
abort-upgrade)
	rm -f /etc/roost/roost.toml.unchanged
	;;
esac
