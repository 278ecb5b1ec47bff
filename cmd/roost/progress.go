package main

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
)

// progressInterval is the minimum time between two updates of a progress line.
const progressInterval = 100 * time.Millisecond

// progress is a line on a terminal that shows the progress of a command. It has no
// goroutine: add draws it. All methods of a nil progress do nothing.
type progress struct {
	out   io.Writer
	what  string // is being done, such as importing
	unit  string // of what is counted, in the plural
	total int    // -1: unknown

	done         int
	start, drawn time.Time
}

func newProgress(out io.Writer, what, unit string, total int) *progress {
	return &progress{out: out, what: what, unit: unit, total: total, start: time.Now()}
}

// add counts n more and redraws the line if progressInterval has passed.
func (p *progress) add(n int) {
	if p == nil {
		return
	}
	p.done += n
	now := time.Now()
	if now.Sub(p.drawn) < progressInterval {
		return
	}
	p.drawn = now
	p.clear()
	fmt.Fprint(p.out, p.text(now.Sub(p.start)))
}

// clear erases the line so that another can be written. The next add redraws it.
func (p *progress) clear() {
	if p != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// text returns the line.
func (p *progress) text(elapsed time.Duration) string {
	s := p.what + ": " + humanize.Comma(int64(p.done))
	if p.total > 0 {
		s += fmt.Sprintf(" of %s (%d %%)", humanize.Comma(int64(p.total)), 100*p.done/p.total)
	}
	if seconds := elapsed.Seconds(); seconds >= 1 {
		s += fmt.Sprintf(", %.0f %s/s", float64(p.done)/seconds, p.unit)
	}
	return s
}
