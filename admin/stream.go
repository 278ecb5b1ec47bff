package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"roost/admin/api"
)

// stream is a response that stays open: one JSON value on each line, sent as they come, until
// the function returns. The handle of a route with lines returns one. The function may not
// be called: what the handle opens, request.atEnd closes.
//
// ctx ends when the reader is gone or the server stops. send sends lines, values of the
// type that the route gives, at once. It may wait for the reader, for at most writeWait;
// after an error, the function has to return. An error other than that is sent as the last
// line. The first call, without lines if there are none yet, tells the client that the
// stream has begun.
type stream func(ctx context.Context, send func(lines ...any) error) error

// mediaLines is the media type of streams.
const mediaLines = "application/x-ndjson"

const (
	maxStreams = 16                  // of each listener, so that one cannot keep the other's users from theirs; far below maxConns, which ends requests, too
	heartbeat  = api.StreamHeartbeat // how often an empty line is sent, so that both ends notice if the other is gone
	writeWait  = 10 * time.Second    // how long a reader may not read
)

// streams are the streams of both listeners: each channel has an element for each stream.
type streams struct{ local, tcp chan struct{} }

func newStreams() streams {
	return streams{make(chan struct{}, maxStreams), make(chan struct{}, maxStreams)}
}

// of returns the streams of the listener of a request.
func (s streams) of(r *request) chan struct{} {
	if p, _ := r.Context().Value(peerKey{}).(peer); p.local {
		return s.local
	}
	return s.tcp
}

// enter takes a place among the streams for a request, until its end.
func (s *Server) enter(req *request) error {
	places := s.streams.of(req)
	select {
	case places <- struct{}{}:
		req.atEnd(func() { <-places })
		return nil
	default:
		return &api.Error{Status: 503, Code: api.CodeUnavailable, Message: fmt.Sprintf("there are %d streams already", maxStreams), Hint: "end one, such as a roost events that is not needed"}
	}
}

// sendStream sends a stream.
func (s *Server) sendStream(w http.ResponseWriter, r *http.Request, run stream) {
	c := http.NewResponseController(w)
	w.Header().Set("Content-Type", mediaLines)
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not collect lines
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	out := &lineWriter{w: w, c: c}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	var beating sync.WaitGroup
	beating.Go(func() { s.beat(ctx, cancel, out) })
	err := s.guarded(func() error { return run(ctx, out.send) })
	cancel()
	beating.Wait()
	if s.ctx.Err() != nil {
		err = errStopping
	}
	if err != nil && r.Context().Err() == nil {
		e := failure(err)
		if e.Code == api.CodeInternal && out.err == nil {
			s.b.Logger.Error("a stream of the administration interface has failed", "path", r.URL.Path, "err", err)
		}
		_ = out.send(api.ErrorResponse{Error: *e})
	}
}

// errStopping ends streams.
var errStopping = &api.Error{Status: 503, Code: api.CodeUnavailable, Message: "the server stops"}

// beat sends an empty line from time to time until ctx ends. If that fails, it calls
// cancel.
func (s *Server) beat(ctx context.Context, cancel context.CancelFunc, out *lineWriter) {
	tick := s.ticker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if out.beat() != nil {
				cancel()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// lineWriter writes the lines of a stream.
type lineWriter struct {
	c *http.ResponseController

	mu  sync.Mutex
	w   http.ResponseWriter
	err error // of the first write that has failed
}

func (l *lineWriter) send(lines ...any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	for _, line := range lines {
		if err := e.Encode(line); err != nil {
			panic("admin: BUG: " + err.Error())
		}
	}
	return l.write(text.Bytes())
}

// beat writes an empty line, unless something else is being written.
func (l *lineWriter) beat() error {
	if !l.mu.TryLock() {
		return nil
	}
	defer l.mu.Unlock()
	return l.writeLocked([]byte("\n"))
}

// write writes text and what is buffered before it. The time limit is that of this text:
// the one of the whole response (writeTimeout) does not apply to streams.
func (l *lineWriter) write(text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writeLocked(text)
}

// writeLocked is write. Under mu.
func (l *lineWriter) writeLocked(text []byte) error {
	if l.err != nil {
		return l.err
	}
	l.err = l.c.SetWriteDeadline(time.Now().Add(writeWait))
	if l.err == nil {
		_, l.err = l.w.Write(text)
	}
	if l.err == nil {
		l.err = l.c.Flush()
	}
	return l.err
}
