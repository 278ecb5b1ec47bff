package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimeOutPace: sessions whose time is over at once end in several steps.
func TestTimeOutPace(t *testing.T) {
	var many *detachedPart
	for range 2*maxTimedOut + 1 {
		many = many.with(new(Session))
	}
	l := &detachedList{due: map[uint16]*detachedPart{5: many, 6: (*detachedPart)(nil).with(new(Session))}, next: 3}
	var got []int
	seen := make(map[*Session]bool)
	for {
		ended := l.take(7)
		if len(ended) == 0 {
			break
		}
		got = append(got, len(ended))
		for _, s := range ended {
			seen[s] = true
		}
	}
	if fmt.Sprint(got) != fmt.Sprint([]int{maxTimedOut, maxTimedOut, 2}) || len(l.due) != 0 || len(seen) != 2*maxTimedOut+2 {
		t.Errorf("%v, %d seconds are left, %d sessions", got, len(l.due), len(seen))
	}
}

// TestManyDetachedAtOnce: if many clients lose their connections in one second, no step copies
// or allocates much. Bug: one slice for each second grew, so that one of a million sessions
// waited for a copy of several megabytes.
func TestManyDetachedAtOnce(t *testing.T) {
	const all = 20 * maxDetachedPart
	m := &Manager{}
	m.detached.m = m
	m.detached.armed = true // without a timer
	moved, largest := 0, 0
	first := make(map[**Session]int) // the first sessions of parts
	for n := range all {
		m.detached.add(new(Session), &coldState{until: 9})
		wasted := 0
		for p := m.detached.due[9]; p != nil; p = p.earlier {
			if _, known := first[&p.sessions[0]]; !known {
				first[&p.sessions[0]] = n
				moved += len(p.sessions) - 1
			}
			largest = max(largest, cap(p.sessions))
			wasted += cap(p.sessions) - len(p.sessions)
		}
		if wasted > n+minDetachedPart {
			t.Fatalf("space for %d more after %d sessions", wasted, n+1)
		}
	}
	if moved > 0 || largest > maxDetachedPart {
		t.Errorf("%d sessions were copied; the largest part has space for %d", moved, largest)
	}
	if ended := m.detached.take(9); len(ended) != maxTimedOut {
		t.Errorf("%d sessions end at once", len(ended))
	}
}

// TestDetachedTooLate: a session whose second has been checked is seen by the next check. Bug:
// a session that was restored after its time, just when a check passed it, was seen only when
// the numbers of the seconds began again, 18 hours later.
func TestDetachedTooLate(t *testing.T) {
	for _, next := range []uint16{10, 0} { // the numbers are modulo 2^16
		m := &Manager{}
		m.detached.m = m
		m.detached.armed = true // without a timer
		m.detached.next = next
		m.detached.add(new(Session), &coldState{until: next - 1})
		if ended := m.detached.take(next); len(ended) != 1 {
			t.Errorf("%d sessions end in second %d", len(ended), next)
		}
	}
}

// TestShorterResumeTimeout: a session that was detached and resumed waits, when it is detached
// again, as long as the present Config.ResumeTimeout says. Bug: if that had become shorter since,
// it waited until its earlier time was over.
func TestShorterResumeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s, p, r, id := newResumable(t, Config{ResumeTimeout: time.Hour}, "resume='true'")
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
			p.runPosted(m)
		}
		p.lose(m, s)
		pass(time.Second)
		if got, _ := p.resume(m, id, 0); got != fmt.Sprintf(resumedElement, id) {
			t.Fatalf("received %q", got)
		}
		cfg := m.config().Config
		cfg.ResumeTimeout = time.Minute
		m.SetConfig(cfg)
		pass(time.Second)
		p.lose(m, s)
		pass(time.Minute - time.Second)
		if !s.Detached() {
			t.Error("it has ended too early")
		}
		pass(4 * time.Second)
		if s.Detached() {
			t.Error("it still waits after its time")
		}
		<-r.left
	})
}

// TestShorterResumeTimeoutDetached: a session that waits for its client when
// Config.ResumeTimeout becomes shorter waits at most that long from then on.
func TestShorterResumeTimeoutDetached(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, -1: 0, 2 * time.Hour: time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			m, s, p, r, _ := newResumable(t, Config{ResumeTimeout: time.Hour}, "resume='true'")
			pass := func(d time.Duration) {
				<-time.After(d)
				synctest.Wait()
				p.runPosted(m)
			}
			p.lose(m, s)
			pass(time.Second)
			cfg := m.config().Config
			cfg.ResumeTimeout = after
			m.SetConfig(cfg)
			if early := want - 2*time.Second; early > 0 {
				pass(early)
				if !s.Detached() {
					t.Errorf("%v: it has ended too early", after)
				}
			}
			pass(6 * time.Second)
			if s.Detached() {
				t.Errorf("%v: it still waits after its time", after)
			}
			s.Close(nil)
			pass(time.Hour)
			<-r.left
		})
	}
}
