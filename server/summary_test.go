package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"roost/session"
)

// TestSummary: one line a minute says what changed, and none comes where nothing
// did.
func TestSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		ctx, cancel := context.WithCancel(context.Background())
		var now totals
		go summarize(ctx, log, func() totals { return now })
		line := func(change func(), want string) {
			t.Helper()
			out.Reset()
			change()
			time.Sleep(time.Minute) // virtual
			synctest.Wait()
			if got := out.String(); got != want {
				t.Errorf("got  %swant %s", got, want)
			}
		}
		line(func() {}, "")
		line(func() {
			now = totals{sessions: 3, accounts: 2, connections: 4, accepted: 5, refused: 1, logins: 3,
				ended: []session.Ended{{Reason: "closed", Count: 1}}}
		}, "level=INFO msg=\"last minute\" sessions=3 accounts=2 connections=4 accepted=5 refused=1 logins=3 ended.closed=1\n")
		line(func() {}, "")
		line(func() {
			now.sessions, now.accounts, now.connections = 1, 1, 1
			now.ended = []session.Ended{{Reason: "closed", Count: 2}, {Reason: "lost", Count: 2}}
		}, "level=INFO msg=\"last minute\" sessions=1 accounts=1 connections=1 accepted=0 refused=0 logins=0 ended.closed=1 ended.lost=2\n")
		cancel()
	})
}

// TestSummaryCounts: the figures of the summary are a running server's.
func TestSummaryCounts(t *testing.T) {
	s := startServer(t, nil)
	romeo := connect(t, s).login("romeo", "a")
	connect(t, s).login("juliet", "b")
	got := fmt.Sprint(s.totals().since(totals{}))
	if want := "[sessions 2 accounts 2 connections 2 accepted 2 refused 0 logins 2]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	romeo.ask("</stream:stream>", "</stream:stream>")
	got = fmt.Sprint(s.totals().ended)
	if want := "[{closed 1}]"; got != want {
		t.Errorf("ended: %s, want %s", got, want)
	}
}
