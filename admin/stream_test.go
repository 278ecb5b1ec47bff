package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roost/admin/api"
	"roost/internal/events"
)

// pipeListener is a listener for pipes, so that time is virtual: net/http's timeouts, too.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error   { close(p.closed); return nil }
func (p *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// dial connects a client.
func (p *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

// streamServer serves streams of test lines. It must be made and closed within a bubble.
type streamServer struct {
	*Server
	pipes  *pipeListener
	client *api.Client
	t      *testing.T
	log    *strings.Builder
}

// testLine is a line of a stream.
type testLine struct {
	N int `json:"n"`
}

const streamPath = "/v1/stream"

func serveStream(t *testing.T, change func(*Server), handle func(*request) (any, error)) *streamServer {
	t.Helper()
	log := new(strings.Builder)
	s := &Server{streams: newStreams(), events: new(events.Bus), ticker: time.NewTicker, b: Backend{Logger: slog.New(slog.NewTextHandler(log, nil))}}
	s.announce.s = s
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.routes = []route{{
		id: "stream", method: http.MethodGet, path: streamPath, scope: ScopeWrite, lines: true, response: testLine{}, query: []param{{name: "q"}},
		handle: func(_ *Server, r *request) (any, error) { return handle(r) },
	}}
	if change != nil {
		change(s)
	}
	s.http = s.newHTTP(s.handler())
	s.http.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return withPeerValue(ctx, peer{local: true}) }
	p := &pipeListener{make(chan net.Conn), make(chan struct{})}
	s.done.Go(func() { _ = s.http.Serve(p) })
	return &streamServer{s, p, api.Over(&http.Transport{DialContext: p.dial, MaxIdleConns: 1}), t, log}
}

// close closes the client and the server.
func (s *streamServer) close() {
	s.t.Helper()
	s.client.Close()
	if err := s.Server.Close(); err != nil {
		s.t.Error(err)
	}
}

// read reads the stream to its end.
func (s *streamServer) read(ctx context.Context) (numbers []int, err error) {
	for line, e := range api.Stream[testLine](ctx, s.client, http.MethodGet, streamPath, nil, nil) {
		if e != nil {
			err = e
			continue
		}
		numbers = append(numbers, line.N)
	}
	return numbers, err
}

// raw sends a request by a connection of its own and reads the head of the response.
func (s *streamServer) raw() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	c, _ := s.pipes.dial(context.Background(), "", "")
	if _, err := io.WriteString(c, "GET "+streamPath+" HTTP/1.1\r\nHost: roost\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		if line == "\r\n" {
			return c, r
		}
	}
}

// count is a stream of numbers.
func count(n int, err error) stream {
	return func(_ context.Context, send func(...any) error) error {
		for i := range n / 2 {
			if err := send(testLine{2 * i}, testLine{2*i + 1}); err != nil {
				return err
			}
		}
		return err
	}
}

// idle is a stream without lines.
var idle stream = func(ctx context.Context, send func(...any) error) error {
	err := send()
	<-ctx.Done()
	return err
}

// TestStream: lines arrive in order, and after them the error that has ended the stream.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handle func(*request) (any, error)
		s := serveStream(t, nil, func(r *request) (any, error) { return handle(r) })
		defer s.close()
		ctx := t.Context()
		handle = func(*request) (any, error) { return count(6, nil), nil }
		if got, err := s.read(ctx); err != nil || !reflect.DeepEqual(got, []int{0, 1, 2, 3, 4, 5}) {
			t.Errorf("%v %v", got, err)
		}
		var raw []string
		for line, err := range api.Stream[json.RawMessage](ctx, s.client, http.MethodGet, streamPath, nil, nil) {
			if err != nil {
				t.Error(err)
			}
			raw = append(raw, string(line))
			if len(raw) == 2 {
				break
			}
		}
		if got := strings.Join(raw, " "); got != `{"n":0} {"n":1}` {
			t.Error(got)
		}

		handle = func(*request) (any, error) { return nil, badRequest("", "no") }
		_, err := s.read(ctx)
		wantError(t, err, 400, api.CodeBadRequest, "no")
		err = s.client.Get(ctx, streamPath, map[string][]string{"x": {"1"}}, nil)
		wantError(t, err, 400, api.CodeBadRequest, `no parameter "x"`)

		handle = func(*request) (any, error) {
			return count(2, &api.Error{Code: api.CodeNotFound, Message: "gone"}), nil
		}
		got, err := s.read(ctx)
		wantError(t, err, 0, api.CodeNotFound, "gone")
		handle = func(*request) (any, error) { return count(2, errors.New("secret")), nil }
		_, err = s.read(ctx)
		wantError(t, err, 0, api.CodeInternal, "the server could not do this")
		handle = func(*request) (any, error) {
			return stream(func(context.Context, func(...any) error) error { panic("broken") }), nil
		}
		_, err = s.read(ctx)
		wantError(t, err, 0, api.CodeInternal, "the server could not do this")
		if len(got) != 2 || !strings.Contains(s.log.String(), "secret") || !strings.Contains(s.log.String(), "broken") {
			t.Errorf("%v; %s", got, s.log)
		}

		handle = func(*request) (any, error) { panic("broken") }
		_, err = s.read(ctx)
		wantError(t, err, 500, api.CodeInternal, "could not")
		handle = func(*request) (any, error) {
			return stream(func(context.Context, func(...any) error) error { t.Error("called for HEAD"); return nil }), nil
		}
		if err := s.client.Do(ctx, http.MethodHead, streamPath, nil, nil, nil); err != nil {
			t.Error(err)
		}
		ended := 0
		handle = func(r *request) (any, error) {
			r.atEnd(func() { ended++ })
			r.body = cannotMarshal{} // for the audit log
			return stream(func(context.Context, func(...any) error) error { t.Error("called after a panic"); return nil }), nil
		}
		_, err = s.read(ctx)
		wantError(t, err, 500, api.CodeInternal, "could not")
		synctest.Wait()
		if n := len(s.streams.local); n != 0 || ended != 1 {
			t.Errorf("%d streams are left; %d functions called at the end", n, ended)
		}
	})
}

// cannotMarshal panics when it is to become JSON.
type cannotMarshal struct{}

func (cannotMarshal) MarshalJSON() ([]byte, error) { panic("no JSON") }

// TestStreamIsSilent: a stream without lines lasts, whatever the timeouts of requests are,
// and its reader sees that the server is alive.
func TestStreamIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = time.Hour
		s := serveStream(t, nil, func(*request) (any, error) {
			return stream(func(ctx context.Context, send func(...any) error) error {
				_ = send()
				select {
				case <-time.After(long):
				case <-ctx.Done():
					t.Error("the stream has ended")
				}
				return send(testLine{1})
			}), nil
		})
		defer s.close()
		if got, err := s.read(t.Context()); err != nil || len(got) != 1 {
			t.Errorf("%v %v", got, err)
		}
		c, r := s.raw()
		defer c.Close()
		n := 0
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, "{") {
				break
			}
			if line == "\n" {
				n++
			}
		}
		if want := int(long / heartbeat); n < want-1 || n > want {
			t.Errorf("%d empty lines", n)
		}
	})
}

// TestStreamSlowReader: a reader that does not read is cut, and not before.
func TestStreamSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		s := serveStream(t, nil, func(*request) (any, error) {
			return stream(func(ctx context.Context, send func(...any) error) error {
				defer close(ended)
				for {
					if err := send(testLine{1}); err != nil {
						return err
					}
				}
			}), nil
		})
		defer s.close()
		c, r := s.raw()
		time.Sleep(writeWait - 1) // virtual time
		if _, err := r.Discard(r.Buffered() + 1); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		stalled := time.Now()
		<-ended
		if d := time.Since(stalled); d != writeWait {
			t.Errorf("cut after %v", d)
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Error(err)
		}
	})
}

// TestStreamReaderGone: the stream of a reader that is gone ends at once.
func TestStreamReaderGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveStream(t, nil, func(*request) (any, error) {
			return idle, nil
		})
		defer s.close()
		c, _ := s.raw()
		synctest.Wait()
		if len(s.streams.local) != 1 {
			t.Error("there is no stream")
		}
		begin := time.Now()
		c.Close()
		synctest.Wait()
		if len(s.streams.local) != 0 || !time.Now().Equal(begin) {
			t.Error("the stream goes on")
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		if _, err := s.read(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		synctest.Wait()
		if len(s.streams.local) != 0 {
			t.Error("the stream of a client that was interrupted goes on")
		}
	})
}

// TestStreamServerCloses: when the server stops, streams end before it would cut them, and
// say so.
func TestStreamServerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveStream(t, nil, func(*request) (any, error) {
			return stream(func(ctx context.Context, send func(...any) error) error {
				_ = send(testLine{1})
				<-ctx.Done()
				return nil
			}), nil
		})
		result := make(chan error)
		go func() {
			_, err := s.read(context.Background())
			result <- err
		}()
		synctest.Wait()
		begin := time.Now()
		closed := make(chan error)
		go func() { closed <- s.Server.Close() }()
		wantError(t, <-result, 0, api.CodeUnavailable, "the server stops")
		s.client.Close()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d >= stopTimeout {
			t.Errorf("after %v", d)
		}
	})
}

// TestStreamLimit: each listener has a number of streams, and a place is free again when one
// has ended.
func TestStreamLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveStream(t, nil, func(*request) (any, error) {
			return idle, nil
		})
		defer s.close()
		var conns []net.Conn
		for range maxStreams {
			c, _ := s.raw()
			conns = append(conns, c)
		}
		_, err := s.read(t.Context())
		wantError(t, err, 503, api.CodeUnavailable, fmt.Sprint(maxStreams, " streams"))
		conns[0].Close()
		synctest.Wait()
		c, _ := s.raw()
		for _, c := range append(conns, c) {
			c.Close()
		}
		synctest.Wait()
		if n := len(s.streams.local); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
	all := newStreams()
	of := func(p peer) chan struct{} {
		r, err := http.NewRequestWithContext(withPeerValue(t.Context(), p), http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		return all.of(&request{Request: r})
	}
	if of(peer{local: true}) != all.local || of(peer{}) != all.tcp || all.local == all.tcp || 2*maxStreams > maxConns {
		t.Error("the listeners share places")
	}
}

// TestStreamAudit: a stream that needs the scope write is recorded when it begins.
func TestStreamAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "audit")
		s := serveStream(t, func(s *Server) {
			var err error
			if s.audit, err = OpenAudit(name, nil); err != nil {
				t.Fatal(err)
			}
		}, func(*request) (any, error) {
			return stream(func(_ context.Context, send func(...any) error) error {
				if got := audit(t, name); len(got) != 1 || got[0].Action != "stream" || got[0].Result != "ok" {
					t.Errorf("%+v", got)
				}
				return send(testLine{1})
			}), nil
		})
		defer s.close()
		if got, err := s.read(t.Context()); len(got) != 1 || err != nil {
			t.Errorf("%v %v", got, err)
		}
	})
}

// TestStreamClient: a client notices that a server is dead, that a stream was cut, and that
// a line is not what it should be.
func TestStreamClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		f := func(response string, closes bool, want string) {
			t.Helper()
			here, there := net.Pipe()
			c := api.Over(&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }})
			defer c.Close()
			go func() {
				r := bufio.NewReader(there)
				for line := ""; line != "\r\n"; {
					line, _ = r.ReadString('\n')
				}
				_, _ = io.WriteString(there, response)
				if closes {
					there.Close()
				}
				_, _ = io.Copy(io.Discard, r)
				there.Close()
			}()
			var err error
			for _, e := range api.Stream[testLine](t.Context(), c, http.MethodGet, streamPath, nil, nil) {
				err = e
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", response, err, want)
			}
		}
		f(head+"8\r\n{\"n\":1}\n\r\n", false, "not sent anything for 45s")
		f(head, false, "not sent anything for 45s")
		f("", false, "not sent anything for 45s")
		f(head+"8\r\n{\"n\":1}\n\r\n", true, "unexpected EOF")
		f(head+"9\r\n{\"error\":\n\r\n", false, "unexpected end of JSON")
		f(head+"4\r\n[1]\n\r\n", false, "cannot unmarshal")
		f("HTTP/1.1 204 No Content\r\n\r\n", false, "204")
		f("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", false, "not roost's administration interface")
	})
}
