-- Prosody as lean as it goes: what roost does too, and nothing else. Phones need more modules,
-- which would cost the others something, too.
run_as_root = true
daemonize = false
pidfile = "{{.Dir}}/prosody.pid"
data_path = "{{.Dir}}/data"
plugin_paths = {}
network_backend = "epoll"
interfaces = { "127.0.0.1" }
c2s_ports = { {{.Plain}} }
c2s_direct_tls_ports = { {{.Direct}} }
s2s_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_hashed"
storage = "internal"
modules_enabled = { "roster"; "saslauth"; "tls"; "disco"; "ping"; "version"; "time"; "private"; "vcard_legacy"{{if .Phones}}; "smacks"; "csi_simple"; "carbons"{{end}} }
{{if .Phones}}smacks_hibernation_time = 600{{end}}
modules_disabled = { "s2s" }
ssl = { certificate = "{{.Dir}}/crt.pem"; key = "{{.Dir}}/key.pem" }
log = { error = "{{.Dir}}/prosody.log" }
VirtualHost "localhost"
