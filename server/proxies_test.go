package server

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// TestParseProxies: proxies are addresses and networks; an error names the field.
func TestParseProxies(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, err := parseProxies([]string{in})
		if err != nil || fmt.Sprint(got) != "["+want+"]" {
			t.Errorf("%q: %v, %v; want %s", in, got, err, want)
		}
	}
	f("192.0.2.1", "192.0.2.1/32")
	f("10.0.0.0/8", "10.0.0.0/8")
	f(" 2001:db8::1", "2001:db8::1/128")
	f("2001:db8::/32", "2001:db8::/32")
	f("::ffff:192.0.2.1", "192.0.2.1/32")
	f("fe80::1%eth0", "fe80::1/128")
	for _, in := range []string{"", "proxy.example", "192.0.2", "192.0.2.0/33", "192.0.2.1:5222", "10.0.0.0/8/8", "::ffff:10.0.0.0/104"} {
		cfg := Config{C2S: ":0", DataDir: "x", ProxyProtocol: []string{"10.0.0.0/8", in}}
		var field *FieldError
		if err := cfg.Validate(); !errors.As(err, &field) || field.Field != "ProxyProtocol" || !strings.Contains(err.Error(), fmt.Sprintf("%q", in)) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// TestBehindProxy: the log and the limit of failed logins use the client's address
// instead of the proxy's, with STARTTLS and direct TLS.
func TestBehindProxy(t *testing.T) {
	var log lockedLog
	s := startServer(t, func(c *Config) {
		c.C2STLS = "127.0.0.1:0"
		c.ProxyProtocol = []string{"127.0.0.0/8"}
		c.Session.MaxFailures = 1
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	login := func(client, password string, direct bool) (got string) {
		p := connect(t, s)
		if direct {
			p = dialTo(t, s.Addrs()[1].Addr.String())
		}
		if _, err := fmt.Fprintf(p.conn, "PROXY TCP4 %s 198.51.100.1 4711 5222\r\n", client); err != nil {
			t.Fatal(err)
		}
		if direct {
			p.conn = tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
		} else {
			p.ask(testHeader, "</stream:features>")
			p.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
			p.conn = tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
		}
		p.ask(testHeader, "</stream:features>")
		plain := base64.StdEncoding.EncodeToString([]byte("\x00romeo\x00" + password))
		got = p.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plain+"</auth>", ">")
		if strings.Contains(got, "<success") {
			p.ask(testHeader, "</stream:features>")
			p.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
		}
		return got
	}
	for i, direct := range []bool{false, true} {
		good, bad := fmt.Sprintf("192.0.2.%d", 10+i), fmt.Sprintf("192.0.2.%d", 20+i)
		login(bad, "wrong", direct)
		if got := login(bad, "secret", direct); strings.Contains(got, "<success") {
			t.Errorf("direct %v: the client with the failed login may retry immediately", direct)
		}
		if got := login(good, "secret", direct); !strings.Contains(got, "<success") {
			t.Errorf("direct %v: another client of the proxy: %s", direct, got)
		}
		for _, want := range []string{"network=" + bad, "peer=" + good + ":4711"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("direct %v: the log has no %s:\n%s", direct, want, &log)
			}
		}
	}
	if lines := slices.DeleteFunc(strings.Split(log.String(), "\n"), func(l string) bool { return !strings.Contains(l, "login failed") }); len(lines) == 0 || strings.Contains(strings.Join(lines, "\n"), "network=loopback") {
		t.Errorf("failed logins of the proxy's network: %q", lines)
	}
}
