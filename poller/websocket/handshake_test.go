package websocket

import (
	"fmt"
	"strings"
	"testing"
)

// TestBody: the length of a request with a body is known from its header; a request without a length,
// or that is too large, is refused with the status for it.
func TestBody(t *testing.T) {
	f := func(request string, want int, wantErr error, status string) {
		t.Helper()
		n, err := new(RequestEnd).Find([]byte(request))
		if n != want || err != wantErr {
			t.Errorf("%.60q: %d, %v; want %d, %v", request, n, err, want, wantErr)
		}
		// Byte by byte, the result is the same, and comes as soon as it can.
		var e RequestEnd
		for i := range len(request) + 1 {
			if n, err = e.Find([]byte(request[:i])); n != 0 || err != nil {
				break
			}
		}
		if n != want || err != wantErr {
			t.Errorf("%.60q, byte by byte: %d, %v; want %d, %v", request, n, err, want, wantErr)
		}
		if err != nil && !strings.HasPrefix(string(Refusal(err)), "HTTP/1.1 "+status+" ") {
			t.Errorf("%v: %.60q", err, Refusal(err))
		}
	}
	const head = "POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
	f(head[:len(head)-1], 0, nil, "")
	f(head, 0, nil, "")
	f(head+"ab", 0, nil, "")
	f(head+"abc", len(head)+3, nil, "")
	f(head+"abcd", len(head)+3, nil, "")
	get := strings.Replace(head, "POST", "GET", 1)
	f(get, len(get), nil, "")
	f(strings.Replace(head, "Content-Length: 3", "Transfer-Encoding: chunked", 1), 0, ErrNoLength, "411")
	f(strings.Replace(head, "3", fmt.Sprint(MaxRequest), 1), 0, ErrLongBody, "413")
	full := strings.Replace(head, "3", fmt.Sprint(MaxRequest-len(head)-3), 1)
	f(full, 0, nil, "")
	f(full+strings.Repeat("x", MaxRequest), MaxRequest, nil, "")
	bad := strings.Replace(head, "3", "three", 1)
	f(bad, len(bad), nil, "")
	f("POST / HTTP/1.1\r\nX: "+strings.Repeat("x", MaxRequest), 0, ErrLongRequest, "431")
}

// TestBodyInParts: the header of a request is read once, however many parts its body has. Each part
// may be a byte in a TLS record of its own, and a header may have two thousand fields.
func TestBodyInParts(t *testing.T) {
	head := "POST /page HTTP/1.1\r\nContent-Length: 4000\r\n" + strings.Repeat("A:\r\n", 900) + "\r\n"
	request := []byte(head + strings.Repeat("x", 4000))
	var e RequestEnd
	if n, err := e.Find(request[:len(head)]); n != 0 || err != nil || e.Size() != len(request) {
		t.Fatalf("%d, %v, size %d; want 0 and size %d", n, err, e.Size(), len(request))
	}
	have := len(head)
	if n := testing.AllocsPerRun(1000, func() {
		have++
		_, _ = e.Find(request[:have])
	}); n != 0 {
		t.Errorf("%v allocations for a byte of the body", n)
	}
	if n, err := e.Find(request); n != len(request) || err != nil {
		t.Errorf("%d, %v; want %d", n, err, len(request))
	}
}

// TestForwardedFor: the client is the one in the last entry, with a port or without.
func TestForwardedFor(t *testing.T) {
	c := Config{Path: "/ws", Protocol: "xmpp"}
	for value, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.9, 192.0.2.1 ": "192.0.2.1", "192.0.2.1:4711": "192.0.2.1", "2001:db8::1": "2001:db8::1",
		"[2001:db8::1]:4711": "2001:db8::1", "::ffff:192.0.2.1": "192.0.2.1", "192.0.2.1, unknown": "invalid IP", "192.0.2.1,": "invalid IP", "": "invalid IP",
	} {
		for _, path := range []string{"/ws", "/other"} {
			if path == "/other" {
				c.Late = func(string) bool { return true }
			}
			r := c.Respond([]byte("GET " + path + " HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.66\r\nX-Forwarded-For: " + value + "\r\n\r\n"))
			if got := r.Client.String(); got != want {
				t.Errorf("%s, %q: %s, want %s", path, value, got, want)
			}
		}
	}
}

// TestLate: a page that takes time is not made by Respond, which knows all that it needs.
func TestLate(t *testing.T) {
	c := Config{Path: "/ws", Protocol: "xmpp", Late: func(path string) bool { return path == "/page" || path == "/ws" }}
	r := c.Respond([]byte("POST /page?x HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nX-Forwarded-Proto: http\r\nContent-Length: 3\r\n\r\nabc"))
	if r.Late == nil || *r.Late != (PageRequest{"POST", "/page", "h", "text/plain", "abc"}) || r.Client.String() != "192.0.2.2" || !r.Insecure || r.Response != nil {
		t.Errorf("%+v, %+v", r, r.Late)
	}
	for method, body := range map[string]string{"GET": "text", "HEAD": ""} {
		r := c.Respond([]byte(method + " /page HTTP/1.1\r\nHost: h\r\n\r\n"))
		r.LateResponse(&Page{Status: 409, Type: "text/plain", Body: "text", Fields: []string{"X: y"}})
		want := "HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: 4\r\nContent-Type: text/plain\r\nX: y\r\n\r\n" + body
		if string(r.Response) != want || r.Status != 409 {
			t.Errorf("%s: %q, %d", method, r.Response, r.Status)
		}
	}
	for request, status := range map[string]int{
		"POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n": 405, "POST /ws HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n": 405,
		"POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: three\r\n\r\n": 405, "DELETE /page HTTP/1.1\r\nHost: h\r\n\r\n": 405,
	} {
		if r := c.Respond([]byte(request)); r.Late != nil || r.Status != status {
			t.Errorf("%q: %d %q, want %d", request, r.Status, r.Response, status)
		}
	}
}
