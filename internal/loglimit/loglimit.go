// Package loglimit limits log lines that clients can trigger, so that no client can fill
// the disk.
package loglimit

import (
	"log/slog"
	"sync"
	"time"
)

// Lines is the number of lines of one kind that are logged per minute.
const Lines = 20

// Limit counts the lines of one kind. At the end of a minute it logs how many lines were
// omitted. Its methods may be called from any goroutine.
type Limit struct {
	log     *slog.Logger
	omitted string

	mu     sync.Mutex
	logged int         // in this minute
	others int         // in this minute
	minute *time.Timer // runs while the minute has lines
}

// New returns a limit. omitted is the message of the line that reports the number of
// omitted lines.
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

// Close ends the current minute early.
func (l *Limit) Close() {
	l.mu.Lock()
	runs := l.minute != nil && l.minute.Stop()
	l.mu.Unlock()
	if runs {
		l.report()
	}
}
