set -e

# The configuration is not a conffile of dpkg: its comments change with each version, and dpkg
# would ask, or an unattended upgrade would stop, although each setting that is there still has
# the same meaning. What the administrator has changed stays; a file without changes follows the
# package.
if [ "$1" = upgrade ] && cmp -s /etc/roost/roost.toml /usr/share/roost/roost.toml; then
	touch /etc/roost/roost.toml.unchanged
fi
