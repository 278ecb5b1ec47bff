#!/bin/sh
# Prepares a directory in which Debian's Prosody runs on loopback, to check the
# scenarios against another server. Prints the environment with which the tests
# start it there.
#
#   eval "$(./prepare.sh DIR [STARTTLS-PORT] [DIRECT-TLS-PORT])"
set -eu

mkdir -p "$1"
dir=$(cd "$1" && pwd)
port=${2:-15222}
tls=${3:-15223}

mkdir -p "$dir/data"
cd "$dir"
if [ ! -f localhost.crt ]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
		-keyout localhost.key -out localhost.crt -days 30 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost 2>openssl.log
fi

cat >prosody.cfg.lua <<CFG
run_as_root = true
pidfile = "$dir/prosody.pid"
data_path = "$dir/data"
certificates = "$dir"
log = { { levels = { min = "debug" }, to = "file", filename = "$dir/prosody.log" } }
interfaces = { "127.0.0.1" }
c2s_ports = { $port }
c2s_direct_tls_ports = { $tls }
s2s_ports = { }
http_ports = { }
https_ports = { }
c2s_require_encryption = true
authentication = "internal_hashed"
storage = "internal"
allow_registration = true
modules_enabled = {
	"roster"; "saslauth"; "tls"; "disco"; "private"; "vcard"; "version"; "uptime";
	"time"; "ping"; "register"; "lastactivity"; "offline"; "posix"; "s2s";
}
VirtualHost "localhost"
CFG

cat >adduser <<ADD
#!/bin/sh
# adduser JID; reads the password from standard input
read -r password
user=\${1%@*}
exec prosodyctl --root --config "$dir/prosody.cfg.lua" register "\$user" localhost "\$password"
ADD
chmod +x adduser

cat <<ENV
export INTEROP_SERVER=127.0.0.1:$port
export INTEROP_SERVER_TLS=127.0.0.1:$tls
export INTEROP_DOMAIN=localhost
export INTEROP_CA=$dir/localhost.crt
export INTEROP_ADDUSER=$dir/adduser
export INTEROP_START="prosody --root -F --config $dir/prosody.cfg.lua"
export INTEROP_LENIENT=1
ENV
