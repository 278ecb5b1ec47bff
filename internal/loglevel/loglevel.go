// Package loglevel implements the level of a log, which can be changed for a limited time.
package loglevel

import (
	"log/slog"
	"sync"
	"time"
)

// Level is the level of a log: the configured one, or another one for a limited time. The
// zero value is level info. Its methods may be called from any goroutine; it must not be
// copied.
type Level struct {
	current slog.LevelVar // what Level returns

	mu         sync.Mutex
	configured slog.Level
	changes    int         // made so far
	end        *time.Timer // ends the change that is in force; nil: there is none
	until      time.Time
}

// State is what a Level is at some time.
type State struct {
	Level, Configured slog.Level
	Until             time.Time // when Level ends to be other than configured; zero: it is the configured one
}

// Level implements slog.Leveler. It does not block.
func (l *Level) Level() slog.Level { return l.current.Level() }

// Set sets the configured level. A change for a limited time stays in force until its end.
func (l *Level) Set(level slog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.configured = level
	if l.end == nil {
		l.current.Set(level)
	}
}

// Change sets another level for a time, after which the configured one applies again, and
// calls ended. It replaces an earlier change, whose ended is not called then.
func (l *Level) Change(level slog.Level, d time.Duration, ended func()) State {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end.Stop()
	}
	l.changes++
	n := l.changes
	l.end = time.AfterFunc(d, func() {
		if l.restore(n) {
			ended()
		}
	})
	l.until = time.Now().Add(d)
	l.current.Set(level)
	return l.state()
}

// restore ends the nth change, unless another has replaced it.
func (l *Level) restore(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changes != n {
		return false
	}
	l.end, l.until = nil, time.Time{}
	l.current.Set(l.configured)
	return true
}

// State returns what the level is now.
func (l *Level) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state()
}

func (l *Level) state() State {
	return State{Level: l.current.Level(), Configured: l.configured, Until: l.until}
}
