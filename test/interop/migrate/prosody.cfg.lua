-- Prosody on one port of loopback, with its data in a directory.
run_as_root = true
daemonize = false
pidfile = os.getenv("DIR").."/prosody.pid"
data_path = os.getenv("DIR").."/data"
certificates = os.getenv("DIR")
interfaces = { "127.0.0.1" }
c2s_ports = { tonumber(os.getenv("PORT")) }
c2s_direct_tls_ports = {}
s2s_ports = {}
http_ports = {}
https_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_hashed"
storage = os.getenv("STORAGE") == "internal" and "internal" or "sql"
if os.getenv("STORAGE") == "postgres" then
	sql = { driver = "PostgreSQL", host = os.getenv("PGHOST"), username = os.getenv("PGUSER"), password = "", database = os.getenv("PGDATABASE") }
elseif os.getenv("STORAGE") == "mysql" then
	sql = { driver = "MySQL", username = os.getenv("MYSQL_USER"), password = os.getenv("MYSQL_PWD"), database = os.getenv("MYSQL_DATABASE") } -- by MYSQL_UNIX_PORT
else
	sql = { driver = "SQLite3", database = os.getenv("DIR").."/prosody.sqlite" }
end
modules_enabled = { "roster"; "saslauth"; "private"; "vcard_legacy"; "offline"; "blocklist"; "pep" }
modules_disabled = { "s2s" }
log = { info = os.getenv("DIR").."/prosody.log" }
VirtualHost "localhost"
