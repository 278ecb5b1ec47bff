// Package logqueue writes log lines to a pipe, file or terminal without blocking the
// caller: a server must keep serving even if the reader of its log stalls or exits.
package logqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// defaultLimit is the size of the queue in bytes.
const defaultLimit = 1 << 20

// maxSpare is the largest buffer that an idle Queue keeps, in bytes.
const maxSpare = 64 << 10

// Queue is an io.Writer that never blocks and never fails. One goroutine writes the
// queued lines. Lines are dropped and counted if the queue is full or the output fails.
// Its methods may be called from any goroutine.
type Queue struct {
	out    io.Writer
	limit  int
	report func(dropped int)
	wake   chan struct{} // holds a token while there is work
	done   chan struct{} // closed when the goroutine has ended

	mu        sync.Mutex
	pending   []byte       // complete lines
	flushes   []chan<- int // of Flush: receive the number of dropped lines after pending was written
	dropped   int          // lines since the last report
	total     int64        // dropped lines since the start
	reporting bool         // report is running: its line may exceed the limit
	closed    bool
}

// New starts a queue of at most limit bytes (1 MiB if 0) in front of out. Once out
// accepts lines again after some were dropped, New's queue calls report, if it is not
// nil, with their number. report may write to the queue.
func New(out io.Writer, limit int, report func(dropped int)) *Queue {
	if limit <= 0 {
		limit = defaultLimit
	}
	if report == nil {
		report = func(int) {}
	}
	q := &Queue{out: out, limit: limit, report: report, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
}

// Write queues or drops a copy of p, which must contain complete lines. It always returns
// len(p) and nil.
func (q *Queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	if !q.reporting && (q.closed || len(q.pending)+len(p) > q.limit) {
		q.drop(lines(p))
	} else {
		q.pending = append(q.pending, p...)
	}
	q.mu.Unlock()
	q.signal()
	return len(p), nil
}

// drop counts dropped lines. Under mu.
func (q *Queue) drop(n int) {
	q.dropped += n
	q.total += int64(n)
}

// TotalDropped returns the number of lines that were dropped since the start.
func (q *Queue) TotalDropped() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}

// Dropped returns the number of dropped lines that were not yet reported.
func (q *Queue) Dropped() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Flush waits until the output has taken, or refused, what is queued now. It returns an
// error if ctx ends before that, or if lines were dropped and the output takes none.
func (q *Queue) Flush(ctx context.Context) error {
	done := make(chan int, 1)
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return errors.New("the log is closed")
	}
	q.flushes = append(q.flushes, done)
	q.mu.Unlock()
	q.signal()
	select {
	case dropped := <-done:
		if dropped > 0 {
			return fmt.Errorf("the output refuses the log: %d lines were dropped", dropped)
		}
		return nil
	case <-ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		q.flushes = slices.DeleteFunc(q.flushes, func(c chan<- int) bool { return c == done })
		return errors.New("whoever reads the log has stalled")
	}
}

// Close writes the queued lines and ends the queue. It waits for the output for at most
// timeout, so that a stalled reader does not keep the process running.
func (q *Queue) Close(timeout time.Duration) {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-q.done:
	case <-t.C:
	}
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) run() {
	defer close(q.done)
	var spare []byte
	for range q.wake {
		for {
			q.mu.Lock()
			batch, closed, flushes := q.pending, q.closed, q.flushes
			q.pending, q.flushes = spare[:0], nil
			q.mu.Unlock()
			if len(batch) == 0 {
				q.flushed(flushes)
				spare = batch
				if closed {
					return
				}
				break
			}
			q.write(batch)
			q.flushed(flushes)
			spare = nil
			if cap(batch) <= maxSpare {
				spare = batch
			}
		}
	}
}

// write passes a batch to the output. After the first success, it reports earlier drops.
func (q *Queue) write(batch []byte) {
	n, err := q.out.Write(batch)
	q.mu.Lock()
	if err != nil {
		q.drop(lines(batch[min(max(n, 0), len(batch)):]))
		q.mu.Unlock()
		return
	}
	dropped := q.dropped
	q.dropped = 0
	q.reporting = dropped > 0
	q.mu.Unlock()
	if dropped > 0 {
		q.report(dropped)
		q.mu.Lock()
		q.reporting = false
		q.mu.Unlock()
	}
}

// flushed tells those that wait in Flush.
func (q *Queue) flushed(waiting []chan<- int) {
	if len(waiting) == 0 {
		return
	}
	dropped := q.Dropped()
	for _, w := range waiting {
		w <- dropped
	}
}

// lines counts the lines in p, including an incomplete last one.
func lines(p []byte) int {
	n := bytes.Count(p, []byte{'\n'})
	if len(p) > 0 && p[len(p)-1] != '\n' {
		n++
	}
	return n
}
