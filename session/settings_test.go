package session

import "testing"

// refused is an exchange whose attempt is refused because too many have failed.
type refused struct{ exchange }

func (refused) found() *lookup { return &lookup{refused: true} }

// TestSettingsDuringRefusal: the limits of failed logins may change while an attempt is
// refused. Bug: the race detector found that the delay of the response was read without the
// lock.
func TestSettingsDuringRefusal(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Router: new(leaving), Workers: 1, Writers: 1, KeyWorkers: 1})
	defer m.Close()
	s, turn := m.New(&pausing{}), m.reads.newTurn()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			m.SetConfig(Config{Domains: []string{"localhost"}, MaxFailures: 1 + i})
		}
	}()
	n := s.negotiation()
	for range 100 {
		n.sasl, n.mech = refused{}, &m.mechs[0]
		s.loginFailed(turn, saslNotAuthorized)
	}
	<-done
	if n.delay != maxFailureDelay {
		t.Errorf("the response is delayed by %v, want %v", n.delay, maxFailureDelay)
	}
}
