create_directories
with_systemd daemon-reload
[ "$1" != 1 ] || next_steps
