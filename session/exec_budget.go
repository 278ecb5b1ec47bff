package session

import "runtime"

// What a turn does is counted, so that no client can hold a loop for longer than
// the others may be made to wait. The unit is a sixteenth of a delivery, which is
// a stanza queued for one client and its share of a system call: about a third of
// a microsecond.
const (
	costDelivery = 16
	costStanza   = 8 // one parsed
	costContact  = 1 // one looked up
	costShift    = 8 // 256 bytes cost 1, parsed or queued
)

// turnBudget is the cost past which a turn leaves what is left to later turns,
// so that the events of other clients come between.
const turnBudget = 64 * costDelivery

// minShare is the cost that the first of what was left may always have: events
// that use up every turn must not starve it.
const minShare = turnBudget / 4

// Spent reports whether the turn has used up its budget. Whoever sends to many
// asks between two of them; on a loop the rest is left to Yield or Later, on a
// worker Pause lets others run.
func (t *Turn) Spent() bool { return t.cost >= t.budget }

// CountContact counts a contact that was looked up and may have no session.
func (t *Turn) CountContact() { t.cost += costContact }

// CountDelivery counts a stanza of n bytes that was queued for one recipient. Sessions
// count what they are sent; this is for recipients that have no session here.
func (t *Turn) CountDelivery(n int) { t.cost += costDelivery + int64(n)>>costShift }

// Pause writes out what was queued and lets other goroutines run. Only for turns
// that may block.
func (t *Turn) Pause() {
	t.Flush()
	runtime.Gosched()
	t.budget = t.cost + turnBudget
}

// postponed is what a turn has left to a later one.
type postponed struct {
	s *Session
	f func(*Turn)
}

// Yield runs f in a later turn of the session's loop, after the events of other
// clients. The session's input waits for it. f may yield again, or block. Only
// the goroutine that handles the session's input on its loop may call it.
func (m *Manager) Yield(t *Turn, s *Session, f func(*Turn)) {
	s.set(flagBusy)
	s.conn.Pause()
	t.postpone(s, func(t *Turn) {
		s.unset(flagBusy)
		f(t)
		s.continueInput(t)
	})
}

// Later is Yield for what the session's input need not wait for: f runs when no
// worker has the session.
func (m *Manager) Later(t *Turn, s *Session, f func(*Turn)) {
	t.postpone(s, func(t *Turn) { s.runOrDefer(t, f) })
}

// yield ends the session's part in this turn: the rest of its input comes later.
func (s *Session) yield(t *Turn) { s.mgr.Yield(t, s, func(*Turn) {}) }

// postpone appends to what later turns do.
func (t *Turn) postpone(s *Session, f func(*Turn)) {
	t.postponed = append(t.postponed, postponed{s, f})
	t.m.postponedCount.Add(1)
	t.post(s)
}

// post asks for a later turn of the loop that s belongs to.
func (t *Turn) post(s *Session) {
	if !t.posted {
		t.posted = true
		s.conn.Post(t.m.runPostponed)
	}
}

// runPostponed does what earlier turns have left, in order, as far as the budget goes.
// What yields again has to wait for the next turn.
func (m *Manager) runPostponed(loop int) {
	t := m.turns[loop]
	t.posted = false
	t.budget = max(t.budget, t.cost+minShare)
	todo := t.postponed
	done := 0
	for done < len(todo) && (done == 0 || !t.Spent()) {
		x := todo[done]
		todo[done] = postponed{}
		done++
		x.s.run(t, x.f)
		m.postponedCount.Add(-1)
	}
	// Some may have been appended meanwhile.
	t.postponed = t.postponed[done:]
	if len(t.postponed) == 0 {
		t.postponed = nil
		return
	}
	t.post(t.postponed[0].s)
}
