package loglevel

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestChange: a level is changed for a limited time; a second change replaces the first,
// and a new configured level applies after both.
func TestChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Level
		var ended atomic.Int64
		end := func() { ended.Add(1) }
		check := func(want slog.Level, wantEnded int64) {
			t.Helper()
			synctest.Wait()
			if s := l.State(); l.Level() != want || s.Level != want || ended.Load() != wantEnded || s.Until.IsZero() != (want == s.Configured) {
				t.Errorf("level %v, state %+v, %d ended; want %v and %d", l.Level(), s, ended.Load(), want, wantEnded)
			}
		}
		check(slog.LevelInfo, 0)
		l.Set(slog.LevelWarn)
		check(slog.LevelWarn, 0)
		if s := l.Change(slog.LevelDebug, time.Minute, end); s.Configured != slog.LevelWarn || s.Level != slog.LevelDebug || !s.Until.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("%+v", s)
		}
		time.Sleep(30 * time.Second)
		check(slog.LevelDebug, 0)
		l.Change(slog.LevelInfo, time.Minute, end)
		time.Sleep(45 * time.Second) // after the end of the first
		check(slog.LevelInfo, 0)
		l.Set(slog.LevelError)
		check(slog.LevelInfo, 0)
		time.Sleep(15 * time.Second)
		check(slog.LevelError, 1)
		l.Set(slog.LevelWarn)
		check(slog.LevelWarn, 1)
	})
}

// TestReplaceAtEnd: a change that is made at the moment when an earlier one ends is not
// ended by it.
func TestReplaceAtEnd(t *testing.T) {
	var l Level
	l.Change(slog.LevelDebug, time.Hour, func() { t.Error("the first change has ended") })
	l.Change(slog.LevelError, time.Hour, func() {})
	if l.restore(1) || l.Level() != slog.LevelError { // as its timer does that ran already
		t.Errorf("level %v", l.Level())
	}
	if !l.restore(2) || l.Level() != slog.LevelInfo {
		t.Errorf("level %v", l.Level())
	}
}
