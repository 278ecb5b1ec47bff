// Package logqueue writes log lines to a pipe, file or terminal without ever
// making the caller wait: a server that logs must keep serving when whoever
// reads its log stalls or exits.
package logqueue

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// defaultLimit is how many bytes wait at most for a reader that stalls.
const defaultLimit = 1 << 20

// maxSpare is the largest buffer that an idle Queue keeps, in bytes.
const maxSpare = 64 << 10

// Queue is an io.Writer that never blocks and never fails. One goroutine writes
// what is queued; lines that find the queue full, or that the output refuses,
// are dropped and counted. Its methods may be called from any goroutine.
type Queue struct {
	out    io.Writer
	limit  int
	report func(dropped int)
	wake   chan struct{} // holds a token while there is something to do
	done   chan struct{} // closed when the goroutine has ended

	mu        sync.Mutex
	pending   []byte // whole lines
	dropped   int    // lines, since the last report
	reporting bool   // report runs: its line finds room even in a full queue
	closed    bool
}

// New starts a queue of at most limit bytes (1 MiB if 0) in front of out.
// After lines were dropped and out takes lines again, report, if it is not nil,
// is called with their number; it may write to the queue.
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

// Write queues a copy of p, which holds whole lines, or drops it. It always
// returns len(p) and nil.
func (q *Queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	if !q.reporting && (q.closed || len(q.pending)+len(p) > q.limit) {
		q.dropped += lines(p)
	} else {
		q.pending = append(q.pending, p...)
	}
	q.mu.Unlock()
	q.signal()
	return len(p), nil
}

// Dropped is the number of lines that were dropped and not yet reported.
func (q *Queue) Dropped() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Close writes what is queued and ends the queue. It waits for the output at
// most as long as timeout: a reader that stalls does not keep a process from
// ending.
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
			batch, closed := q.pending, q.closed
			q.pending = spare[:0]
			q.mu.Unlock()
			if len(batch) == 0 {
				spare = batch
				if closed {
					return
				}
				break
			}
			q.write(batch)
			spare = nil
			if cap(batch) <= maxSpare {
				spare = batch
			}
		}
	}
}

// write hands a batch to the output. Once that works, earlier drops are
// reported.
func (q *Queue) write(batch []byte) {
	n, err := q.out.Write(batch)
	q.mu.Lock()
	if err != nil {
		q.dropped += lines(batch[min(max(n, 0), len(batch)):])
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

// lines is the number of lines in p; a last one without its end counts.
func lines(p []byte) int {
	n := bytes.Count(p, []byte{'\n'})
	if len(p) > 0 && p[len(p)-1] != '\n' {
		n++
	}
	return n
}
