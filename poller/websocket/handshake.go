package websocket

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gobwas/ws"
)

// MaxRequest limits the client's request in bytes, with all header fields and the body.
const MaxRequest = 8 << 10

// Config says which requests are accepted.
type Config struct {
	Path     string                        // of the endpoint, such as /xmpp-websocket
	Protocol string                        // the subprotocol, which a client must offer
	Origins  []string                      // web origins whose pages may connect, such as https://chat.example.org; none: all. A client that is no web page names none
	Page     func(path, host string) *Page // the document at a path of a host, nil if there is none; nil: there are none
	Late     func(path string) bool        // whether the page at a path takes time to make: see Request.Late; nil: none does
}

// Page is a document that is served for another path than that of the endpoint.
type Page struct {
	Status     int // of HTTP; 0: 200
	Type, Body string
	Fields     []string // further fields of the header, such as "Cache-Control: no-store"
}

// PageRequest is a request for a page that takes time to make.
type PageRequest struct {
	Method     string // GET, HEAD or POST
	Path, Host string
	Type, Body string // of POST, such as application/x-www-form-urlencoded
}

// Request is a client's request and what to do about it.
type Request struct {
	Response []byte       // to send; the connection is closed after it unless Upgraded
	Upgraded bool         // what follows are frames
	Status   int          // HTTP status of the response
	Late     *PageRequest // the response is not made yet, and that to LateResponse; nil: it is

	// From a proxy. A request has these fields from whoever sent it, so they mean nothing
	// unless it comes from a proxy that sets them.
	Client   netip.Addr // the last address of X-Forwarded-For: that of the proxy's client; the zero value if there is none
	Insecure bool       // X-Forwarded-Proto is http or ws: the proxy's client uses no TLS
}

var requestEnd = []byte("\r\n\r\n")

// ErrRequest is returned for bytes that are not, or do not begin, an HTTP request.
var ErrRequest = errors.New("websocket: this is not an HTTP request")

// ErrLongRequest is returned for a request of more than MaxRequest bytes.
var ErrLongRequest = errors.New("websocket: the HTTP request is too long")

// ErrLongBody is returned for a request with a body that makes it longer than MaxRequest bytes.
var ErrLongBody = errors.New("websocket: the body of the HTTP request is too long")

// ErrNoLength is returned for a request with a body whose length is not given before it.
var ErrNoLength = errors.New("websocket: the HTTP request has a body without Content-Length")

// RequestEnd finds the end of a request that arrives in parts, however small. The zero value is
// ready for one request.
type RequestEnd struct {
	seen int // bytes in which the header does not end
	size int // of the request, 0 while its header is incomplete
}

// Find returns the length of the request at the start of p, or 0 if it is incomplete. p begins
// with the bytes of the previous call. Only the request of a POST has a body.
func (e *RequestEnd) Find(p []byte) (int, error) {
	if e.size == 0 {
		var err error
		if e.size, err = e.header(p); err != nil {
			return 0, err
		}
	}
	if e.size > len(p) {
		return 0, nil
	}
	return e.size, nil
}

// Size returns the length of the request, or 0 if that is not known yet.
func (e *RequestEnd) Size() int { return e.size }

// header returns the length of the request, body included, or 0 if the header is incomplete.
func (e *RequestEnd) header(p []byte) (int, error) {
	head := p[:min(len(p), MaxRequest)]
	if len(p) > 0 && (p[0] < 'A' || p[0] > 'Z') {
		return 0, ErrRequest // such as a TLS handshake or XML
	}
	from := max(0, e.seen-len(requestEnd)+1)
	i := bytes.Index(head[from:], requestEnd)
	switch end := from + i + len(requestEnd); {
	case i >= 0 && bytes.HasPrefix(head, post):
		return withBody(head[:end])
	case i >= 0:
		return end, nil
	case len(p) >= MaxRequest:
		return 0, ErrLongRequest
	}
	e.seen = len(head)
	return 0, nil
}

var post = []byte("POST ")

// withBody returns the length of a request with its body.
func withBody(head []byte) (int, error) {
	q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	switch {
	case err != nil:
		return len(head), nil // what is no request is refused by Respond
	case q.ContentLength < 0:
		return 0, ErrNoLength
	case q.ContentLength > int64(MaxRequest-len(head)):
		return 0, ErrLongBody
	}
	return len(head) + int(q.ContentLength), nil
}

// Refusal returns the response to what is no request, for an error of RequestEnd.
func Refusal(err error) []byte {
	status := http.StatusBadRequest
	switch err {
	case ErrLongRequest:
		status = http.StatusRequestHeaderFieldsTooLarge
	case ErrLongBody:
		status = http.StatusRequestEntityTooLarge
	case ErrNoLength:
		status = http.StatusLengthRequired
	}
	return response(status, nil, err.Error()+"\n", true)
}

// Respond returns the response to a complete request.
func (c *Config) Respond(request []byte) *Request {
	r := new(Request)
	if c.page(r, request) {
		return r
	}
	buf := &exchange{in: bytes.NewReader(request)}
	offered := false
	u := ws.Upgrader{
		ReadBufferSize: MaxRequest,
		Protocol: func(name []byte) bool {
			ok := string(name) == c.Protocol
			offered = offered || ok
			return ok
		},
		OnRequest: func(uri []byte) error {
			if path, _, _ := strings.Cut(string(uri), "?"); path != c.Path {
				return reject(http.StatusNotFound, "there is nothing here; the WebSocket endpoint has another path")
			}
			return nil
		},
		OnHeader: func(key, value []byte) error { return c.field(r, string(key), string(value)) },
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if !offered {
				// RFC 7395 section 3.1 (https://www.rfc-editor.org/rfc/rfc7395#section-3.1): "the
				// client MUST include the value 'xmpp' in the list of protocols".
				return nil, reject(http.StatusBadRequest, "the subprotocol "+c.Protocol+" must be offered in Sec-WebSocket-Protocol")
			}
			return nil, nil
		},
	}
	_, err := u.Upgrade(buf)
	r.Upgraded, r.Response, r.Status = err == nil, buf.out.Bytes(), http.StatusSwitchingProtocols
	if err != nil {
		r.Status = statusOf(r.Response)
	}
	if len(r.Response) == 0 { // the request is malformed
		r.Status = http.StatusBadRequest
		r.Response = response(r.Status, nil, "websocket: "+err.Error()+"\n", true)
	}
	return r
}

// reject refuses a request.
func reject(status int, reason string) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason("websocket: "+reason+"\n"),
		ws.RejectionHeader(ws.HandshakeHeaderString("Connection: close\r\n")))
}

// field processes a header field.
func (c *Config) field(r *Request, key, value string) error {
	switch key {
	case "Origin":
		if len(c.Origins) > 0 && !slices.ContainsFunc(c.Origins, func(o string) bool { return strings.EqualFold(o, value) }) {
			// RFC 6455 section 4.2.2 (https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2): a
			// server that does not accept the origin returns "an appropriate HTTP error code
			// (e.g., 403 Forbidden)".
			return reject(http.StatusForbidden, "pages of this origin may not connect")
		}
	case "X-Forwarded-For":
		r.Client = forwardedFor(value[strings.LastIndexByte(value, ',')+1:])
	case "X-Forwarded-Proto":
		r.Insecure = strings.EqualFold(value, "http") || strings.EqualFold(value, "ws")
	}
	return nil
}

// forwardedFor returns the address in an entry of X-Forwarded-For, the zero value if there is none.
// Some proxies, such as load balancers of cloud providers, append the client's port.
func forwardedFor(entry string) netip.Addr {
	entry = strings.TrimSpace(entry)
	addr, err := netip.ParseAddr(entry)
	if err != nil {
		with, _ := netip.ParseAddrPort(entry)
		addr = with.Addr()
	}
	return addr.Unmap().WithZone("")
}

// page responds to requests for pages, and returns false for all others.
func (c *Config) page(r *Request, request []byte) bool {
	method, _, _ := bytes.Cut(request, []byte(" "))
	switch string(method) {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		return false
	}
	q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	if err != nil || q.URL.Path == c.Path {
		return false
	}
	if c.Late != nil && c.Late(q.URL.Path) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return false
		}
		r.Late = &PageRequest{Method: q.Method, Path: q.URL.Path, Host: q.Host, Type: q.Header.Get("Content-Type"), Body: string(body)}
		for _, key := range []string{"X-Forwarded-For", "X-Forwarded-Proto"} {
			for _, value := range q.Header.Values(key) {
				_ = c.field(r, key, value) // it refuses none of these
			}
		}
		return true
	}
	if c.Page == nil || q.Method == http.MethodPost {
		return false
	}
	p := c.Page(q.URL.Path, q.Host)
	if p == nil {
		return false
	}
	r.Response, r.Status = p.response(q.Method)
	return true
}

// LateResponse makes p the response to a request that has Late.
func (r *Request) LateResponse(p *Page) { r.Response, r.Status = p.response(r.Late.Method) }

func (p *Page) response(method string) (text []byte, status int) {
	if status = p.Status; status == 0 {
		status = http.StatusOK
	}
	return response(status, append([]string{"Content-Type: " + p.Type}, p.Fields...), p.Body, method != http.MethodHead), status
}

// response returns a response after which the connection is closed.
func response(status int, fields []string, body string, withBody bool) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %d\r\n", status, http.StatusText(status), len(body))
	for _, f := range fields {
		b = append(append(b, f...), "\r\n"...)
	}
	b = append(b, "\r\n"...)
	if withBody {
		b = append(b, body...)
	}
	return b
}

// statusOf returns the status of a response, 0 if there is none.
func statusOf(response []byte) (status int) {
	_, _ = fmt.Sscanf(string(response), "HTTP/1.1 %d", &status)
	return status
}

// exchange is a request and its response as a connection.
type exchange struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (x *exchange) Read(p []byte) (int, error) {
	n, err := x.in.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (x *exchange) Write(p []byte) (int, error) { return x.out.Write(p) }
