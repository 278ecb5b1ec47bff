// Package logring keeps the last lines of a log in memory, for people who look at a server
// without its log file.
package logring

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// maxText is how much of a line is kept, in bytes: message and fields.
const maxText = 1000

// Line is a line of the log.
type Line struct {
	Time   time.Time
	Level  slog.Level
	Text   string // the message
	Fields string // name=value, separated by spaces, as the text format of slog has them
}

// Has reports whether the line has a field with this name, outside groups.
func (l Line) Has(name string) bool {
	return strings.HasPrefix(l.Fields, name+"=") || strings.Contains(l.Fields, " "+name+"=")
}

// Ring has the last lines. Its methods may be called from any goroutine.
type Ring struct {
	mu    sync.Mutex
	lines []Line // a ring: next is the oldest one when it is full
	next  int
	buf   bytes.Buffer // one line's fields

	follow atomic.Pointer[func(Line)]
}

// New returns a ring of n lines.
func New(n int) *Ring { return &Ring{lines: make([]Line, 0, n)} }

// Lines returns the lines, the newest first.
func (r *Ring) Lines() []Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Line, 0, len(r.lines))
	for i := range r.lines {
		all = append(all, r.lines[(r.next+2*len(r.lines)-1-i)%len(r.lines)])
	}
	return all
}

// Follow has each line passed to f from now on, on the goroutine that logs, so f must not
// log anything. Nil: to no function any more.
func (r *Ring) Follow(f func(Line)) {
	if f == nil {
		r.follow.Store(nil)
		return
	}
	r.follow.Store(&f)
}

// Handler returns a handler that keeps the lines of level info and above that next writes,
// and passes all to next. Lines of level debug are not worth their time: there may be
// thousands in a second.
func (r *Ring) Handler(next slog.Handler) slog.Handler {
	fields := slog.NewTextHandler(&r.buf, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}})
	return &handler{ring: r, next: next, fields: fields}
}

// handler is what Handler returns.
type handler struct {
	ring   *Ring
	next   slog.Handler
	fields slog.Handler // writes the fields to ring.buf
}

// Enabled is called by slog.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// Handle is called by slog.
func (h *handler) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= slog.LevelInfo {
		l := h.ring.add(ctx, h.fields, rec)
		if f := h.ring.follow.Load(); f != nil {
			(*f)(l)
		}
	}
	return h.next.Handle(ctx, rec)
}

// WithAttrs is called by slog.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.ring, h.next.WithAttrs(attrs), h.fields.WithAttrs(attrs)}
}

// WithGroup is called by slog.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.ring, h.next.WithGroup(name), h.fields.WithGroup(name)}
}

func (r *Ring) add(ctx context.Context, fields slog.Handler, rec slog.Record) Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buf.Reset()
	_ = fields.Handle(ctx, rec) // a bytes.Buffer takes everything
	l := Line{Time: rec.Time, Level: rec.Level, Text: cut(rec.Message)}
	l.Fields = cut(strings.TrimSpace(r.buf.String()))
	if r.buf.Cap() > 64*maxText {
		r.buf = bytes.Buffer{}
	}
	if len(r.lines) < cap(r.lines) {
		r.lines = append(r.lines, l)
		return l
	}
	r.lines[r.next] = l
	r.next = (r.next + 1) % len(r.lines)
	return l
}

// cut returns at most maxText bytes of a text, as a copy of its own.
func cut(s string) string {
	if len(s) <= maxText {
		return strings.Clone(s)
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
