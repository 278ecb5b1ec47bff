# Creates the system user and the directories. The packages have this text at the beginning of
# their scripts. Without systemd, as in a container, the same is done by hand.

create_user() {
	getent passwd roost >/dev/null && return
	if [ -e /usr/lib/sysusers.d/roost.conf ] && command -v systemd-sysusers >/dev/null; then
		systemd-sysusers roost.conf
	else
		useradd --system --user-group --no-create-home --home-dir /var/lib/roost --shell /usr/sbin/nologin roost
	fi
}

create_directories() {
	for dir in /var/lib/roost /var/backups/roost; do
		[ -d "$dir" ] || install -d -m 700 -o roost -g roost "$dir"
	done
}

# Only where systemd runs: not in a container, nor while an image is made.
with_systemd() { [ ! -d /run/systemd/system ] || systemctl "$@" || true; }

next_steps() {
	cat <<END
roost is installed, and not started. Set your domain and its certificate in
/etc/roost/roost.toml, and then:
  systemctl enable --now roost
  roost user add romeo@example.org --data /var/lib/roost
END
}
