set -e

case "$1" in
remove)
	[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
	;;
purge)
	rm -f /etc/roost/roost.toml /etc/roost/roost.toml.new /var/lib/misc/roost.toml.sha256
	rm -rf /var/log/roost
	# Accounts and messages are never deleted by a package, nor are certificates and keys.
	for dir in /etc/roost /var/lib/roost /var/backups/roost; do
		[ -d "$dir" ] || continue
		rmdir "$dir" 2>/dev/null || echo "roost: $dir is not empty and stays; delete it by hand if nobody needs it" >&2
	done
	;;
esac
