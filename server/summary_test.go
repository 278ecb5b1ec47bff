package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"roost/poller"
	"roost/session"
)

// TestSummary: one line per minute contains the changes; there is none without changes.
func TestSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := make(chan string, 10)
		log := slog.New(slog.NewTextHandler(lineWriter(lines), &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		ctx, cancel := context.WithCancel(t.Context())
		var now atomic.Pointer[totals]
		go summarize(ctx, log, func() totals { return *now.Load() })
		time.Sleep(summaryEvery / 2) // virtual time: halfway between two summaries
		f := func(what totals, want string) {
			t.Helper()
			now.Store(&what)
			time.Sleep(summaryEvery)
			synctest.Wait()
			got := ""
			select {
			case got = <-lines:
			default:
			}
			if got != want {
				t.Errorf("got  %swant %s", got, want)
			}
		}
		f(totals{}, "")
		some := totals{sessions: 3, accounts: 2, connections: 4, accepted: 5, refused: 1, logins: 3,
			ended: []session.Ended{{Reason: "closed", Count: 1}}}
		f(some, "level=INFO msg=\"last minute\" sessions=3 accounts=2 connections=4 accepted=5 refused=1 logins=3 ended.closed=1\n")
		f(some, "")
		fewer := some
		fewer.sessions, fewer.accounts, fewer.connections = 1, 1, 1
		fewer.ended = []session.Ended{{Reason: "closed", Count: 2}, {Reason: "lost", Count: 2}}
		f(fewer, "level=INFO msg=\"last minute\" sessions=1 accounts=1 connections=1 accepted=0 refused=0 logins=0 ended.closed=1 ended.lost=2\n")
		for _, tt := range []struct {
			attr string
			n    *int64
		}{{"evicted", &fewer.evicted}, {"gave_up", &fewer.gaveUp}, {"recovered", &fewer.recovered}} {
			*tt.n = 2
			f(fewer, "level=INFO msg=\"last minute\" sessions=1 accounts=1 connections=1 accepted=0 refused=0 logins=0 "+tt.attr+"=2\n")
			f(fewer, "")
		}
		cancel()
	})
}

// lineWriter sends each line of a log to a channel.
type lineWriter chan<- string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// TestSummaryCounts: the figures of the summary come from a running server.
func TestSummaryCounts(t *testing.T) {
	s := startServer(t, nil)
	romeo := connect(t, s).login("romeo", "a")
	connect(t, s).login("juliet", "b")
	got := fmt.Sprint(s.totals().since(totals{}))
	if want := "[sessions 2 accounts 2 connections 2 accepted 2 refused 0 logins 2]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.sessions.Recovered("a panic", nil)
	if got := s.totals(); got.recovered != 1 || got.evicted != 0 || got.gaveUp != 0 {
		t.Errorf("%+v, want one panic", got)
	}
	if got := pollerTotals(poller.Stats{Evicted: 1, GaveUp: 2, Panics: 4}); got.evicted != 1 || got.gaveUp != 2 || got.recovered != 4 {
		t.Errorf("%+v, want 1 evicted, 2 gave up, 4 panics", got)
	}
	romeo.ask("</stream:stream>", "</stream:stream>")
	got = fmt.Sprint(s.totals().ended)
	if want := "[{closed 1}]"; got != want {
		t.Errorf("ended: %s, want %s", got, want)
	}
}
