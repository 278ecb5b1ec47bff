package logqueue

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// TestFlush: it waits for what was queued before, also if there is nothing, and says why
// the log is not written.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		q := New(w, 10, nil)
		if err := q.Flush(t.Context()); err != nil {
			t.Errorf("an empty queue: %v", err)
		}
		_, _ = q.Write([]byte("line\n"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- q.Flush(ctx) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("before the line is read: %v", err)
		default:
		}
		cancel()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "stalled") {
			t.Errorf("nobody reads: %v", err)
		}
		_ = q.Flush(ctx)
		if len(q.flushes) != 0 {
			t.Errorf("%d still wait", len(q.flushes))
		}
		go func() { done <- q.Flush(t.Context()) }()
		synctest.Wait()
		buf := make([]byte, 100)
		if n, _ := r.Read(buf); string(buf[:n]) != "line\n" {
			t.Errorf("%q", buf[:n])
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = r.CloseWithError(errors.New("nobody reads any more"))
		_, _ = q.Write([]byte("lost\n"))
		if err := q.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "1 lines were dropped") {
			t.Errorf("the output refuses: %v", err)
		}
		q.Close(0)
		synctest.Wait()
		if err := q.Flush(t.Context()); err == nil {
			t.Error("after the end it is written")
		}
	})
}
