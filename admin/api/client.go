package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"roost/internal/unixsock"
)

// maxResponse limits a response, in bytes: a page of sessions has about half a megabyte.
const maxResponse = 64 << 20

// Client calls a server's administration interface. Its methods may be called from any
// goroutine.
type Client struct {
	base  string // URL without a path
	token string
	http  http.Client
}

// Local returns a client of the server that listens on this Unix socket. The process must
// run as the server's user or as root.
func Local(socket string) *Client {
	return newClient("http://roost", "", &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return unixsock.Dial(ctx, socket) },
	})
}

// Remote returns a client of the server at a URL such as https://192.0.2.1:5280.
// tlsConfig may be nil.
func Remote(base, token string, tlsConfig *tls.Config) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not a URL such as https://192.0.2.1:5280", base)
	}
	return newClient(u.Scheme+"://"+u.Host, token, &http.Transport{TLSClientConfig: tlsConfig}), nil
}

// Over returns a client that sends its requests by t.
func Over(t http.RoundTripper) *Client {
	c := &Client{base: "http://roost"}
	c.http.Transport = t
	return c
}

func newClient(base, token string, t *http.Transport) *Client {
	t.MaxIdleConns, t.IdleConnTimeout = 2, 10*time.Second // an import sends two requests at a time
	c := &Client{base: base, token: token}
	c.http.Transport = t
	// A redirect could take the token elsewhere; the server sends none.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Get requests a path and decodes the response into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.Do(ctx, http.MethodGet, path, query, nil, out)
}

// Do sends a request, with the body in unless it is nil, and decodes the response into
// out unless that is nil. If the server reports an error, it is an *Error. A response to
// the health checks is decoded whatever its status is. A *[]byte as out receives the
// response as it is.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	resp, err := c.send(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return decode(resp, out)
}

// send sends a request.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.http.Do(req)
}

func decode(resp *http.Response, out any) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return err
	}
	if len(text) > maxResponse {
		return errors.New("the response is too large")
	}
	_, health := out.(*Health)
	if resp.StatusCode >= 300 && (!health || resp.StatusCode != http.StatusServiceUnavailable) {
		var e ErrorResponse
		if err := json.Unmarshal(text, &e); err != nil || e.Error.Code == "" {
			return fmt.Errorf("%s: this is not roost's administration interface: %.100q", resp.Status, strings.TrimSpace(string(text)))
		}
		e.Error.Status = resp.StatusCode
		return &e.Error
	}
	if out == nil {
		return nil
	}
	if b, ok := out.(*[]byte); ok {
		*b = text
		return nil
	}
	return json.Unmarshal(text, out)
}
