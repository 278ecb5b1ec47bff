package admin

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/unixsock"
)

// rawRequest sends a request by the Unix socket, as a forwarded port would.
func rawRequest(t *testing.T, s *Server, method, host, path string, header map[string]string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://roost"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for name, value := range header {
		r.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return unixsock.Dial(ctx, s.b.Socket)
	}}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// TestForeignNames: a page whose name was pointed at a forwarded socket reads and does
// nothing.
func TestForeignNames(t *testing.T) {
	s, _ := start(t, nil)
	for host, want := range map[string]int{
		"roost": 200, "localhost": 200, "localhost:5280": 200, "127.0.0.1:5280": 200, "127.9.9.9": 200, "[::1]:5280": 200, "[::1]": 200,
		"evil.test": 403, "evil.test:5280": 403, "localhost.evil.test": 403, "192.0.2.1:5280": 403, "[2001:db8::1]": 403, "roost.test": 403, "127.0.0.1.evil.test": 403,
	} {
		for _, path := range []string{api.PathStatus, api.PathHealth, "/", "/assets/x"} {
			status := rawRequest(t, s, http.MethodGet, host, path, nil).StatusCode
			if path == "/assets/x" && status == 404 {
				status = 200
			}
			if status != want {
				t.Errorf("%s of %s: status %d, want %d", path, host, status, want)
			}
		}
	}
}

// TestForeignPages: a page of another site cannot make a browser change anything.
func TestForeignPages(t *testing.T) {
	s, _ := start(t, nil)
	const path = "/v1/sessions/romeo@localhost%2Fphone" // there is none: 404 is the response to a request that is accepted
	for desc, c := range map[string]struct {
		header map[string]string
		want   int
	}{
		"a program":    {nil, 404},
		"our page":     {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://roost"}, 404},
		"another site": {map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"a subdomain":  {map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"an old one":   {map[string]string{"Origin": "https://evil.test"}, 403},
	} {
		if got := rawRequest(t, s, http.MethodDelete, "roost", path, c.header).StatusCode; got != c.want {
			t.Errorf("%s: status %d, want %d", desc, got, c.want)
		}
	}
	if got := rawRequest(t, s, http.MethodGet, "roost", api.PathStatus, map[string]string{"Sec-Fetch-Site": "cross-site"}).StatusCode; got != 200 {
		t.Errorf("reading: status %d", got) // it is the browser that keeps the response from the page
	}
	if got := rawRequest(t, s, http.MethodGet, "roost", "/", nil).Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") {
		t.Errorf("the dashboard has the policy %q", got)
	}
}
