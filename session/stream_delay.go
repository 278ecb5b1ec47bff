package session

import (
	"errors"
	"time"
)

// loginFailed handles a failed login attempt. A wrong password is counted, and each further
// failure is answered later.
func (s *Session) loginFailed(t *Turn, err error) {
	n, m := s.negotiation(), s.mgr
	var cond saslError
	ok := errors.As(err, &cond)
	if !ok {
		m.loginLog.broken(s.Conn().RemoteAddr(), err)
		cond = saslTemporaryFailure
	}
	x := n.sasl.found()
	switch {
	case x.wrong:
		n.delay = m.throttle.failed(x.guess)
	case x.refused:
		n.delay = m.throttle.longestDelay()
	}
	s.countAttempt(t, n.mech, x.result(cond))
	if n.delay > 0 {
		countEvents.Add(t, eventDelayed, 1)
	}
	if ok {
		account := ""
		if x.exists {
			account = x.who.String()
		}
		m.loginLog.failed(account, n.mech.name, x.reason(cond), n.network.String())
	}
	n.dropExchange()
	n.failure, n.text = cond, x.text
	if !t.MayBlock() {
		s.startDelay(t)
	} // else returnToLoop does, after the worker has finished
}

// startDelay sends the response to a failed login after its delay. Until then the session
// accepts no input. It holds a timer, no goroutine, and may end at any time. startDelay
// reports whether the session is busy now. Only the session's loop may call it.
func (s *Session) startDelay(t *Turn) bool {
	n := s.negotiation()
	if n == nil || n.failure == "" || s.has(flagClosing|flagGone) {
		return false
	}
	if n.delay == 0 {
		s.tellFailure(t)
		return false
	}
	s.state.Or(flagBusy | flagDelayed)
	n.timer = time.AfterFunc(n.delay, func() { s.Conn().Post(s.delayOver) })
	// Reading continues, to notice a lost connection; Data accepts nothing.
	s.Conn().Resume()
	return true
}

// delayOver is called on the loop after the delay.
func (s *Session) delayOver(loop int) {
	if !s.has(flagDelayed) {
		return // the session has ended in the meantime
	}
	s.unset(flagDelayed)
	s.run(s.mgr.turns[loop], s.tellFailure)
	s.returnToLoop(loop)
}

// dropDelay cancels a delayed response without sending it, so that the session can end at
// once. Only the session's loop may call it.
func (s *Session) dropDelay(loop int) {
	if !s.has(flagDelayed) {
		return
	}
	n := s.negotiation()
	n.timer.Stop()
	n.failure = ""
	s.unset(flagDelayed | flagBusy)
	s.runDeferred(s.mgr.turns[loop])
}

func (s *Session) tellFailure(t *Turn) {
	n := s.negotiation()
	cond := n.failure
	n.failure, n.delay, n.timer = "", 0, nil
	s.authFailed(t, n.profile, cond)
}
