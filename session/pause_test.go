package session

import "testing"

// TestPausedWithInputLeft: whatever keeps a session from its input, its connection is
// paused when input is left, also where a Resume came late. Bug: a Resume that was
// posted before the session had a reason to wait undid the pause of that reason; what
// came then was kept without a limit, and was handled out of order.
func TestPausedWithInputLeft(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, KeyWorkers: 1})
	t.Cleanup(m.Close)
	for desc, flag := range map[string]uint32{"busy": flagBusy, "throttled": flagThrottled, "backlog": flagBacklog, "delayed": flagDelayed} {
		c := new(pausing)
		s := m.New(c)
		s.set(flag)
		c.Pause()
		c.Resume() // the late one
		if n := s.Data(0, []byte(" ")); n == 0 && !c.paused {
			t.Errorf("%s: input is left, and the connection is read on", desc)
		}
		if flag != flagDelayed && c.paused {
			s.resume(m.turns[0])
			if !c.paused {
				t.Errorf("%s: it goes on while the reason is there", desc)
			}
		}
	}
}
