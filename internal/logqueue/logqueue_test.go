package logqueue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate is an output that stalls until it is opened.
type gate struct {
	entered chan struct{} // gets a token when a write starts to block
	open    chan struct{}

	mu  sync.Mutex
	got bytes.Buffer
}

func newGate() *gate {
	return &gate{entered: make(chan struct{}, 1), open: make(chan struct{})}
}

func (g *gate) Write(p []byte) (int, error) {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got.Write(p)
}

func (g *gate) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got.String()
}

// TestStalledReader: a stalled output blocks no writer, the queue is limited, and dropped
// lines are reported when the output continues.
func TestStalledReader(t *testing.T) {
	g := newGate()
	reported := make(chan int, 1)
	var q *Queue
	q = New(g, 100, func(n int) {
		fmt.Fprintf(q, "dropped %d\n", n)
		reported <- n
	})
	fmt.Fprintln(q, "first")
	<-g.entered // the goroutine has taken the first line: the queue is empty
	const lines, fit = 1000, 10
	for i := range lines {
		fmt.Fprintf(q, "line %4d\n", i) // 10 bytes
	}
	if n := q.Dropped(); n != lines-fit {
		t.Errorf("%d lines were dropped, want %d", n, lines-fit)
	}
	close(g.open)
	if n := <-reported; n != lines-fit {
		t.Errorf("%d lines were reported as dropped, want %d", n, lines-fit)
	}
	if n := q.TotalDropped(); n != lines-fit {
		t.Errorf("%d lines in total after the report, want %d", n, lines-fit)
	}
	q.Close(time.Hour)
	want := "first\n"
	for i := range fit {
		want += fmt.Sprintf("line %4d\n", i)
	}
	got := g.String()
	if !strings.HasPrefix(got, "first\n") || !strings.Contains(got, want[len("first\n"):]) || !strings.HasSuffix(got, "dropped 990\n") {
		t.Errorf("written: %q", got)
	}
}

// TestCloseDoesNotWaitForEver: a process can end although the reader stalls.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	g := newGate()
	q := New(g, 0, nil)
	fmt.Fprintln(q, "line")
	<-g.entered
	q.Close(time.Millisecond)
	fmt.Fprintln(q, "late")
	if q.Dropped() != 1 {
		t.Errorf("%d lines dropped after Close, want 1", q.Dropped())
	}
	close(g.open)
	<-q.done
}

// TestReaderGone: if the output fails, only lines are lost.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	q := New(w, 0, nil)
	for range 3 {
		fmt.Fprintln(q, "line")
	}
	q.Close(time.Hour)
	if n := q.Dropped(); n != 3 {
		t.Errorf("%d lines dropped, want 3", n)
	}
}

// flaky fails once.
type flaky struct {
	tried chan struct{} // closed by the first write
	got   bytes.Buffer
}

func (f *flaky) Write(p []byte) (int, error) {
	select {
	case <-f.tried:
	default:
		close(f.tried)
		return 0, errors.New("no")
	}
	return f.got.Write(p)
}

// TestReportAfterFailure: after a failure, the output gets the number of lines that it
// missed.
func TestReportAfterFailure(t *testing.T) {
	f := &flaky{tried: make(chan struct{})}
	var q *Queue
	failed := make(chan struct{})
	q = New(f, 0, func(n int) { fmt.Fprintf(q, "dropped %d\n", n); close(failed) })
	fmt.Fprintln(q, "lost")
	<-f.tried
	fmt.Fprintln(q, "kept")
	<-failed
	q.Close(time.Hour)
	if got := f.got.String(); got != "kept\ndropped 1\n" {
		t.Errorf("written: %q", got)
	}
}

// BenchmarkWrite measures what a line costs the goroutine that logs it.
func BenchmarkWrite(b *testing.B) {
	q := New(discard{}, 0, nil)
	defer q.Close(time.Second)
	line := []byte(strings.Repeat("x", 120) + "\n")
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = q.Write(line)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
