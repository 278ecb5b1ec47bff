package session

import "runtime"

// The work of a turn is counted, so that no client can occupy a loop for longer than other
// clients may have to wait. The unit is a sixteenth of a delivery: a delivery is one stanza
// queued for one client, with its share of a system call. A unit is about a third of a
// microsecond.
const (
	costDelivery = 16
	costStanza   = 8 // one stanza parsed
	costContact  = 1 // one contact looked up
	costPart     = 1 // one part of the input: a read, a record of TLS, or a part of a message
	costShift    = 8 // 256 bytes parsed or queued cost 1
)

// turnBudget is the cost after which a turn leaves its remaining work to later turns, so
// that the events of other clients are handled in between.
const turnBudget = 64 * costDelivery

// minShare is the budget that is reserved for postponed work: events that use up every turn
// must not starve it.
const minShare = turnBudget / 4

// Spent reports whether the turn has used up its budget. Code that sends to many recipients
// checks it between two of them: on a loop it leaves the rest to Yield or Later, on a
// worker it calls Pause.
func (t *Turn) Spent() bool { return t.cost >= t.budget }

// CountContact adds the cost of looking up a contact, which may have no session.
func (t *Turn) CountContact() { t.cost += costContact }

// CountDelivery adds the cost of a stanza of n bytes that was queued for one recipient.
// Session.SendBytes does that itself: this is for recipients without a session here.
func (t *Turn) CountDelivery(n int) { t.cost += costDelivery + int64(n)>>costShift }

// Pause writes queued output and lets other goroutines run. Only turns that may block may
// call it.
func (t *Turn) Pause() {
	t.Flush()
	runtime.Gosched()
	t.budget = t.cost + turnBudget
}

// postponed is work that a turn has left to a later one.
type postponed struct {
	s *Session
	f func(*Turn)
}

// Yield runs f in a later turn of the session's loop, after the events of other clients.
// The session's input waits for it. f may yield again, or offload. Only the goroutine that
// handles the session's input on its loop may call it.
func (m *Manager) Yield(t *Turn, s *Session, f func(*Turn)) {
	s.set(flagBusy)
	s.Conn().Pause()
	t.postpone(s, func(t *Turn) {
		s.unset(flagBusy)
		f(t)
		s.continueInput(t)
	})
}

// Later is Yield for work that the session's input need not wait for: f runs when no worker
// has the session.
func (m *Manager) Later(t *Turn, s *Session, f func(*Turn)) {
	t.postpone(s, func(t *Turn) { s.runOrDefer(t, f) })
}

// yield ends the session's part in this turn: the rest of its input is handled later.
func (s *Session) yield(t *Turn) { s.mgr.Yield(t, s, func(*Turn) {}) }

// postpone adds work for later turns.
func (t *Turn) postpone(s *Session, f func(*Turn)) {
	t.postponed = append(t.postponed, postponed{s, f})
	t.m.postponedCount.Add(1)
	t.post(s)
}

// post requests a later turn of the loop that s belongs to.
func (t *Turn) post(s *Session) {
	if !t.posted {
		t.posted = true
		s.Conn().Post(t.m.runPostponed)
	}
}

// runPostponed runs postponed work in order, within the budget. Work that yields again
// waits for the next turn.
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
	// More may have been appended in the meantime.
	t.postponed = t.postponed[done:]
	if len(t.postponed) == 0 {
		t.postponed = nil
		return
	}
	t.post(t.postponed[0].s)
}
