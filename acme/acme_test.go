package acme

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestValidate: each mistake is said with its field.
func TestValidate(t *testing.T) {
	dir := t.TempDir()
	program, text := filepath.Join(dir, "program"), filepath.Join(dir, "text")
	for name, mode := range map[string]os.FileMode{program: 0o700, text: 0o600} {
		if err := os.WriteFile(name, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	f := func(desc, want string, change func(*Config), domains ...string) {
		t.Helper()
		c := Config{Directory: LetsEncrypt, Agree: true, HTTP: ":80"}
		change(&c)
		var got []string
		c.Validate(append(domains, "example.org"), func(field, format string, args ...any) {
			got = append(got, field+": "+fmt.Errorf(format, args...).Error())
		})
		if want == "" && len(got) == 0 || len(got) == 1 && want != "" && strings.Contains(got[0], want) {
			return
		}
		t.Errorf("%s: %q, want %q", desc, got, want)
	}
	f("complete", "", func(*Config) {})
	f("off", "", func(c *Config) { *c = Config{} })
	f("a private authority", "", func(c *Config) { c.Directory = "https://ca.example/dir" }, "localhost")
	f("an address", "Email: ", func(c *Config) { c.Email = "nobody" })
	f("with a name", "Email: ", func(c *Config) { c.Email = "Romeo <romeo@example.org>" })
	f("not HTTPS", "Directory: ", func(c *Config) { c.Directory = "http://ca.example/dir" })
	f("a word", "Directory: ", func(c *Config) { c.Directory = "letsencrpyt" })
	f("no agreement", "Agree: ", func(c *Config) { c.Agree = false })
	f("no way", "HTTP: 0 ways", func(c *Config) { c.HTTP = "" })
	f("two ways", "HTTP: 2 ways", func(c *Config) { c.TLS = ":443" })
	f("program", "", func(c *Config) { c.HTTP, c.DNS = "", program })
	f("no program", "DNS: ", func(c *Config) { c.HTTP, c.DNS = "", filepath.Join(dir, "none") })
	f("a directory", "DNS: ", func(c *Config) { c.HTTP, c.DNS = "", dir })
	f("not executable", "DNS: ", func(c *Config) { c.HTTP, c.DNS = "", text })
	f("no roots", "Roots: ", func(c *Config) { c.Roots = filepath.Join(dir, "none") })
	f("empty roots", "Roots: ", func(c *Config) { c.Roots = text })
	external := func(id, key string) func(*Config) {
		return func(c *Config) {
			if c.EABKeyID = id; key != "" {
				c.EABKeyFile = filepath.Join(dir, "key")
				if err := os.WriteFile(c.EABKeyFile, []byte(key), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	f("an external account", "", external("kid", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n"))
	f("its key in base64 with padding", "", external("kid", "+/+/+w=="))
	f("no key", "EABKeyFile: the key ID of an external account and the file", external("kid", ""))
	f("no ID", "EABKeyFile: the key ID of an external account and the file", external("", "AAAA"))
	f("an empty key", "does not have the key", external("kid", "\n"))
	f("not base64", "does not have the key", external("kid", "a key"))
	f("no file", "EABKeyFile: open ", func(c *Config) { c.EABKeyID, c.EABKeyFile = "kid", filepath.Join(dir, "none") })
	f("localhost", "Directory: localhost is a name for local use", func(*Config) {}, "localhost")
	f("IPv4", "Directory: 192.0.2.1 is an address", func(*Config) {}, "192.0.2.1")
	f("IPv6", "Directory: [2001:db8::1] is an address", func(*Config) {}, "[2001:db8::1]")
}
