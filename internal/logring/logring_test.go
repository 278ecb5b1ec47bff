package logring

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// TestLines: the newest lines are kept, the newest first, with the fields that the log has.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	r := New(3)
	log := slog.New(r.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if len(r.Lines()) != 0 {
		t.Error("an empty ring has lines")
	}
	log.Debug("not kept")
	for i := range 7 {
		log.With("jid", "a b").WithGroup("g").Warn(fmt.Sprint("line ", i), "n", i)
		kept := r.Lines()
		if len(kept) != min(i+1, 3) {
			t.Fatalf("%d lines are kept after %d", len(kept), i+1)
		}
		for j, l := range kept {
			n := i - j
			if l.Text != fmt.Sprint("line ", n) || l.Fields != fmt.Sprintf(`jid="a b" g.n=%d`, n) || l.Level != slog.LevelWarn || l.Time.IsZero() {
				t.Errorf("%+v; want line %d", l, n)
			}
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 8 || !strings.Contains(out.String(), `jid="a b" g.n=6`) {
		t.Errorf("the log itself has %d lines:\n%s", n, out.String())
	}
}

// TestDisabled: what the log does not have is not kept.
func TestDisabled(t *testing.T) {
	r := New(3)
	log := slog.New(r.Handler(slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: slog.LevelError})))
	log.Warn("a")
	log.Error("b")
	if l := r.Lines(); len(l) != 1 || l[0].Text != "b" {
		t.Errorf("%+v", l)
	}
}

// TestLongLines: the memory of a line is limited, whatever clients make the server log.
func TestLongLines(t *testing.T) {
	r := New(2)
	log := slog.New(r.Handler(slog.DiscardHandler))
	log.Info("not enabled")
	if len(r.Lines()) != 0 {
		t.Error("a line is kept that is not logged")
	}
	log = slog.New(r.Handler(slog.NewTextHandler(new(bytes.Buffer), nil)))
	log.Info(strings.Repeat("ü", maxText), "jid", strings.Repeat("€", 1<<20), "text", "\x1b[31m\u202e\n")
	l := r.Lines()[0]
	for _, s := range []string{l.Text, l.Fields} {
		if len(s) > maxText+len("…") || !utf8.ValidString(s) || !strings.HasSuffix(s, "…") {
			t.Errorf("%d bytes: %.30q", len(s), s)
		}
	}
	if r.buf.Cap() > 64*maxText {
		t.Errorf("a buffer of %d bytes is kept", r.buf.Cap())
	}
	log.Info("x", "text", "\x1b[31m\u202e\n")
	if l := r.Lines()[0]; l.Fields != `text="\x1b[31m\u202e\n"` {
		t.Errorf("%s: control characters must be escaped", l.Fields)
	}
}

// TestConcurrent: loggers of all goroutines share the ring.
func TestConcurrent(t *testing.T) {
	r := New(5)
	log := slog.New(r.Handler(slog.NewTextHandler(new(bytes.Buffer), nil)))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			log := log.With("i", i)
			for n := range 50 {
				log.Info("x", "n", n)
				r.Lines()
			}
		})
	}
	all.Wait()
	if len(r.Lines()) != 5 {
		t.Errorf("%d lines", len(r.Lines()))
	}
}

// TestFollow: each kept line is passed on, once, until that is stopped.
func TestFollow(t *testing.T) {
	r := New(2)
	log := slog.New(r.Handler(slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: slog.LevelDebug})))
	var got []Line
	r.Follow(func(l Line) {
		if kept := r.Lines(); kept[0].Text != l.Text { // and no lock is held
			t.Errorf("%+v, kept is %+v", l, kept[0])
		}
		got = append(got, l)
	})
	log.Debug("a")
	for _, text := range []string{"b", "c", "d"} {
		log.With("jid", "x y").Warn(text, "last", 1)
	}
	r.Follow(nil)
	log.Warn("e")
	if len(got) != 3 || got[2].Text != "d" {
		t.Fatalf("%+v", got)
	}
	for name, want := range map[string]bool{"jid": true, "last": true, "id": false, "as": false, "x": false, "y": false, "msg": false} {
		if got[0].Has(name) != want {
			t.Errorf("%s in %s: want %v", name, got[0].Fields, want)
		}
	}
}
