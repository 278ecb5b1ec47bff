set -e

# The configuration is not a conffile of dpkg: its comments change with each version, and dpkg
# would ask, or an unattended upgrade would stop, although each setting that is there still has
# the same meaning. What the administrator has changed stays; a file without changes follows the
# package. Whether it has any is known by the sum of what was installed, which is right whenever
# an installation is interrupted.
install_config() {
	config=/etc/roost/roost.toml template=/usr/share/roost/roost.toml sum=/var/lib/misc/roost.toml.sha256
	if [ ! -e $config ] || [ "$(sha256sum <$config)" = "$(cat $sum 2>/dev/null)" ]; then
		install -D -m 640 -g roost $template $config.new
		mv -f $config.new $config
	fi
	if cmp -s $config $template; then
		install -d /var/lib/misc
		sha256sum <$template >$sum
	fi
}

case "$1" in
configure)
	create_user
	create_directories
	install_config
	with_systemd daemon-reload
	if [ -z "$2" ]; then
		next_steps
	elif [ -x /usr/bin/deb-systemd-invoke ] && [ -d /run/systemd/system ]; then
		deb-systemd-invoke try-restart roost.service || true
	fi
	;;
esac
