// Package loglimit limits log lines that clients can cause, so that no client can fill
// the disk with them.
package loglimit

import (
	"log/slog"
	"sync"
	"time"
)

// Lines is how many lines of one kind are logged in a minute.
const Lines = 20

// Limit counts the lines of one kind. At the end of a minute the number of those that
// were left out is logged. Its methods may be called from any goroutine.
type Limit struct {
	log     *slog.Logger
	omitted string

	mu     sync.Mutex
	logged int         // in this minute
	others int         // in this minute
	minute *time.Timer // runs while there is anything to count
}

// New returns a limit. omitted is the text of the line that says how many lines were
// left out.
func New(log *slog.Logger, omitted string) *Limit { return &Limit{log: log, omitted: omitted} }

// Allow counts a line and reports whether it may be logged.
func (l *Limit) Allow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.minute == nil {
		l.minute = time.AfterFunc(time.Minute, l.report)
	}
	if l.logged == Lines {
		l.others++
		return false
	}
	l.logged++
	return true
}

// report ends a minute.
func (l *Limit) report() {
	l.mu.Lock()
	others := l.others
	l.logged, l.others, l.minute = 0, 0, nil
	l.mu.Unlock()
	if others > 0 {
		l.log.Info(l.omitted, "lines", others)
	}
}

// Close ends the minute now.
func (l *Limit) Close() {
	l.mu.Lock()
	runs := l.minute != nil && l.minute.Stop()
	l.mu.Unlock()
	if runs {
		l.report()
	}
}
