package bench

import (
	"encoding/json"
	"errors"
	"os/exec"
	"testing"
	"time"
)

// TestIdleDetached: the clients lose their connections before memory is read, and their
// sessions stay, without connections. Those without stream management are an error.
func TestIdleDetached(t *testing.T) {
	r := startRoost(t, 20)
	cfg := IdleConfig{Sessions: 20, Base: 5, Settle: 10 * time.Millisecond, Detach: true, Servers: []int{r.cmd.Process.Pid}}
	got, err := newTestClients(t, Config{Target: r.starttls, SM: true}).Idle(t.Context(), cfg)
	if err != nil || got.Failed+got.Lost != 0 || got.BaseRSS <= 0 || got.RSS <= 0 {
		t.Errorf("%+v, %v", got, err)
	}
	s := r.status()
	for end := time.Now().Add(time.Minute); s.Connections.Open > 0 && time.Now().Before(end); {
		s = r.status() // the server learns of the end of connections later
	}
	if s.Connections.Open != 0 || s.Sessions.Connected != 20 {
		t.Errorf("%+v, want 20 sessions and no connection", s)
	}
	if _, err := newTestClients(t, Config{Target: r.starttls}).Idle(t.Context(), cfg); !errors.Is(err, errResumedSM) {
		t.Error(err)
	}
	if _, err := newTestClients(t, Config{Target: startRoost(t, 20, "--resume-timeout", "off").starttls, SM: true}).Idle(t.Context(), cfg); !errors.Is(err, errNoResume) {
		t.Error(err)
	}
}

// status is what the test needs of the output of roost status.
type status struct {
	Connections struct{ Open int }
	Sessions    struct{ Connected int }
}

func (r *roost) status() (s status) {
	r.t.Helper()
	text, err := exec.Command(r.program, "status", "--json", "--data", r.data).Output()
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}
