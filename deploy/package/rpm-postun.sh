if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	# After an upgrade, the new version runs.
	[ "$1" = 0 ] || systemctl try-restart roost.service || true
fi
