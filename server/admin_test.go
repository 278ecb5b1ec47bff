package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/xmpptest"
)

// adminOf returns a client of a server's administration interface.
func adminOf(t testing.TB, s *Server) *api.Client {
	c := api.Local(filepath.Join(s.config().DataDir, api.SocketName))
	t.Cleanup(c.Close)
	return c
}

// exchangeHTTP sends a request and returns the status and the body of the response.
func exchangeHTTP(t testing.TB, c *http.Client, method, url, contentType, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Sec-Fetch-Site", "same-origin") // as a browser would
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// startWithReader starts a server and returns clients of its administration interface: that
// of the Unix socket, and one with a token that may only read.
func startWithReader(t testing.TB, change func(*Config)) (s *Server, all, reader *api.Client) {
	t.Helper()
	file := filepath.Join(t.TempDir(), admin.TokensName)
	token, err := admin.AddToken(file, "reader", admin.ScopeRead)
	if err != nil {
		t.Fatal(err)
	}
	s = startServer(t, func(c *Config) {
		if c.Admin.Addr, c.Admin.Tokens = "127.0.0.1:0", file; change != nil {
			change(c)
		}
	})
	if reader, err = api.Remote("http://"+s.admin.Addr().String(), token, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reader.Close)
	return s, adminOf(t, s), reader
}

// TestAdminStatus: the status has what the server does.
func TestAdminStatus(t *testing.T) {
	s := startServer(t, func(c *Config) { c.C2STLS, c.Domains = "127.0.0.1:0", []string{"localhost", "example.net"} })
	connect(t, s).login("romeo", "a")
	juliet := connect(t, s).login("juliet", "b").available()
	connect(t, s).ask(testHeader, "</stream:features>")
	client := adminOf(t, s)
	status := func() (st api.Status) {
		t.Helper()
		if err := client.Get(t.Context(), api.PathStatus, nil, &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	runtime.GC()
	st := status()
	if want := (api.Sessions{Unbound: 1, Connected: 2, Available: 1, Accounts: 2}); st.Sessions != want {
		t.Errorf("%+v, want %+v", st.Sessions, want)
	}
	if st.State != api.Serving || st.PID != os.Getpid() || len(st.Domains) != 2 || st.Version == "" || st.UptimeSeconds <= 0 || st.StartedAt.IsZero() {
		t.Errorf("%+v", st)
	}
	if st.Connections.Open != 3 || st.Connections.AcceptedTotal != 3 || st.Logins.Total != 2 {
		t.Errorf("%+v %+v", st.Connections, st.Logins)
	}
	if m := st.Memory; m.ResidentBytes < 1<<20 || m.PredictedBytes < 1<<20 || m.KernelBytes < 3<<10 || m.HeapLiveBytes == 0 {
		t.Errorf("%+v", m)
	}
	if len(st.Certificates) != 1 || !st.Certificates[0].SelfSigned || st.Certificates[0].ExpiresInDays < 365 || st.Certificates[0].File != s.CertificateFile() ||
		strings.Join(st.Certificates[0].Names, " ") != "localhost example.net 127.0.0.1 ::1" {
		t.Errorf("%+v", st.Certificates)
	}
	if len(st.Listeners) != 3 || st.Listeners[0].Addr != s.Addrs()[0].Addr.String() || st.Listeners[2].Addr != filepath.Join(s.config().DataDir, api.SocketName) {
		t.Errorf("%+v", st.Listeners)
	}
	juliet.ask("<presence type='unavailable'/><iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
	if n := status().Sessions.Available; n != 0 {
		t.Errorf("%d are available", n)
	}
	var h api.Health
	for _, path := range []string{api.PathHealth, api.PathReady} {
		if err := client.Get(t.Context(), path, nil, &h); err != nil || !h.OK {
			t.Errorf("%s: %+v %v", path, h, err)
		}
	}
}

// TestAdminSocketDir: the socket may be in another directory; it is found by the data
// directory all the same, also after a server has left its socket behind in either.
func TestAdminSocketDir(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	for _, socketDir := range []string{"", dir, dir, ""} {
		s, err := New(context.Background(), Config{C2S: "127.0.0.1:0", DataDir: data, Admin: admin.Config{SocketDir: socketDir}})
		if err != nil {
			t.Fatal(err)
		}
		if err := adminOf(t, s).Get(t.Context(), api.PathStatus, nil, nil); err != nil {
			t.Errorf("%q: %v", socketDir, err)
		}
		_, err = os.Lstat(filepath.Join(dir, api.SocketName))
		if there := err == nil; there != (socketDir != "") {
			t.Errorf("%q: %v", socketDir, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), xmpptest.WaitLimit)
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if _, err := os.Stat(filepath.Join(data, api.SocketName)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	}
}

// TestAdminAddress: over TCP with the server's certificate, which is that of the domain
// asked for, and a token.
func TestAdminAddress(t *testing.T) {
	data := t.TempDir()
	// The server makes a certificate, which the next one is given.
	first, err := New(context.Background(), Config{C2S: "127.0.0.1:0", DataDir: data})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	cert, key := SelfSignedFiles(data)
	tokens := filepath.Join(data, admin.TokensName)
	secret, err := admin.AddToken(tokens, "test", admin.ScopeRead)
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, func(c *Config) {
		c.DataDir, c.TLSCert, c.TLSKey, c.Admin.Addr = data, []string{cert}, []string{key}, ":0"
	})
	all := s.Addrs()
	_, port, _ := strings.Cut(strings.TrimPrefix(all[len(all)-1].Addr.String(), "[::]"), ":")
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c, err := api.Remote("https://127.0.0.1:"+port, secret, &tls.Config{RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var st api.Status
	if err := c.Get(t.Context(), api.PathStatus, nil, &st); err != nil || st.PID != os.Getpid() || len(st.Listeners) != 3 {
		t.Errorf("%+v %v", st, err)
	}
}

// TestAdminConfig: an address that others reach needs a certificate; the token file must
// be there.
func TestAdminConfig(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		s, err := New(context.Background(), Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Admin: admin.Config{Addr: addr}})
		if err == nil {
			_ = s.Shutdown(context.Background())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", addr, err, want)
		}
	}
	f(":0", "not a loopback address, so it needs TLS")
	f("192.0.2.1:5280", "not a loopback address, so it needs TLS")
	f("5280", "an address looks like 127.0.0.1:5280")
	f("127.0.0.1:0", "there is no token file")
}
