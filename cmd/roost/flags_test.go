package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// another returns a value other than the default for a flag of roost serve.
var another = map[string]string{
	"domain": "example.org", "c2s": "127.0.0.1:1", "c2s-tls": "127.0.0.1:2", "proxy-protocol": "192.0.2.1,10.0.0.0/8", "block-file": "/blocks", "data": "/elsewhere", "store": "sqlite:/elsewhere.db",
	"cluster": "redis://redis.example.org", "node": "xmpp1",
	"admin": "127.0.0.1:3", "admin-tokens": "/a.tokens", "audit": "/a.audit",
	"tls-cert": "/a.crt", "tls-key": "/a.key", "tls-min": "1.3", "tls-lean": "false", "handshakes": "7", "allow-plaintext": "true",
	"acme": "letsencrypt-staging", "acme-agree": "true", "acme-email": "a@example.org", "acme-http": "127.0.0.1:4", "acme-tls": "clients", "acme-dns": "/a.dns", "acme-roots": "/a.roots", "acme-dir": "/a.acme", "acme-eab-key-id": "key", "acme-eab-key-file": "/a.eab",
	"register": "true", "max-failures": "11", "max-register": "9", "invitations": "users", "invitation-life": "48h", "max-invitations": "7", "token-life": "48h", "hold-names": "48h", "max-resources": "3", "conflict": "rename-new", "deliver": "highest", "offline-quota": "0", "offline-bytes": "3MiB", "offline-share": "40", "offline-days": "90", "stranger-messages": "20", "stranger-requests": "30", "exempt": "bot@example.org", "durable": "true",
	"ws": "127.0.0.1:5443", "ws-path": "/ws", "ws-origin": "https://chat.example.org", "ws-proxy": "10.0.0.0/8", "ws-url": "wss://chat.example.org/ws",
	"contact-admin": "mailto:a@example.org", "contact-abuse": "mailto:b@example.org", "outage-status": "https://status.example.org/outage.json", "outage-file": "/outage.json",
	"pollers": "29", "workers": "5", "max-stanza": "20KB", "outbox": "1MiB", "unauth-memory": "32MiB", "slow-reader": "detach", "fanout-rate": "7000", "roster-cache": "1MB",
	"max-per-address": "-1", "max-attempts": "9", "memory-limit": "1GiB",
	"login-timeout": "7s", "idle-timeout": "-1s", "user-timeout": "-1s", "keepalive": "1m", "keepalive-batch": "0s",
	"ack-interval": "2s", "ack-timeout": "90s", "resume-timeout": "5m", "unacked": "2MiB", "unacked-memory": "64MiB", "saved-sessions": "64MiB",
	"linger": "1s", "drain-timeout": "0s",
	"log-level": "debug", "log-format": "json", "pprof": "127.0.0.1:6060",
}

// TestEveryFlagEverywhere: every flag of roost serve has the same meaning on the command
// line, in the environment as ROOST_… and in the config file.
func TestEveryFlagEverywhere(t *testing.T) {
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "ROOST_") {
			t.Setenv(name, "")
			_ = os.Unsetenv(name)
		}
	}
	file := filepath.Join(t.TempDir(), "roost.toml")
	parseFor := func(command string, args ...string) map[string]any {
		t.Helper()
		var c grammar
		parser, err := newParser(&c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, err := parser.Parse(append([]string{command}, args...))
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		values := make(map[string]any)
		for _, f := range flagsOf(ctx) {
			values[f.Name] = f.Target.Interface()
		}
		return values
	}
	parse := func(args ...string) map[string]any { t.Helper(); return parseFor("serve", args...) }
	defaults := parse()
	for name, def := range defaults {
		if name == "config" {
			continue // names the file itself; covered by TestPrecedence
		}
		value, ok := another[name]
		if !ok {
			t.Errorf("add a value for --%s to this test", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			want := parse("--" + name + "=" + value)[name]
			if reflect.DeepEqual(want, def) {
				t.Fatalf("--%s=%s is the default", name, value)
			}
			if got := parse("--config", write(t, file, name, value))[name]; !reflect.DeepEqual(got, want) {
				t.Errorf("in the config file: %v, want %v", got, want)
			}
			if got := parseFor("check", "--"+name+"="+value)[name]; !reflect.DeepEqual(got, want) {
				t.Errorf("roost check: %v, want %v", got, want)
			}
			env := "ROOST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			t.Setenv(env, value)
			if got := parse()[name]; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v, want %v", env, got, want)
			}
			// The environment takes precedence over the file.
			if got := parse("--config", write(t, file, name, fmt.Sprint(defaultText(def))))[name]; !reflect.DeepEqual(got, want) {
				t.Errorf("%s and the file: %v, want %v", env, got, want)
			}
		})
	}
}

// flagsOf returns the flags of the parsed command.
func flagsOf(ctx *kong.Context) (flags []*kong.Flag) {
	for _, group := range ctx.Selected().AllFlags(false) {
		for _, f := range group {
			if f.Name != "help" {
				flags = append(flags, f)
			}
		}
	}
	return flags
}

// defaultText returns a flag's default as it is written.
func defaultText(def any) any {
	if list, ok := def.([]string); ok {
		return strings.Join(list, ",")
	}
	return def
}

// write creates a config file with one key.
func write(t *testing.T, file, key, value string) string {
	t.Helper()
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s = %q\n", key, value), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
