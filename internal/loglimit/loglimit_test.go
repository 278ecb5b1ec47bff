package loglimit

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimit: a limited number of lines per minute, then the number of omitted ones, also
// if the minute is ended early; the next minute starts anew.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := New(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})), "others")
		f := func(tries, want int, report string, end func()) {
			t.Helper()
			allowed := 0
			for range tries {
				if l.Allow() {
					allowed++
				}
			}
			end()
			synctest.Wait()
			if allowed != want || log.String() != report {
				t.Errorf("%d of %d lines were allowed, want %d; the report is %q, want %q", allowed, tries, want, log.String(), report)
			}
			log.Reset()
		}
		minute := func() { time.Sleep(time.Minute) }
		f(Lines, Lines, "", minute)
		f(Lines+7, Lines, "level=INFO msg=others lines=7\n", minute)
		f(Lines+1, Lines, "level=INFO msg=others lines=1\n", l.Close)
		f(0, 0, "", l.Close)
		f(1, 1, "", minute)
	})
}
