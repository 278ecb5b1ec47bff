package bench

import (
	"errors"
	"testing"

	"roost/internal/redistest"
)

// TestRoam: clients resume their sessions at the other node, again and again, while others send them
// messages: each arrives once, in order.
func TestRoam(t *testing.T) {
	r := newRoost(t, 20, 0)
	nodes := r.startNodes(2, r.copyToPostgres(), redistest.Start(t).URL())
	targets := []string{nodes[0].starttls, nodes[1].starttls}
	for _, by := range loginsBy {
		f := newTestClients(t, by(Config{Targets: targets, SM: true, Accounts: 20}))
		if err := f.Login(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
		for _, gap := range []int{0, 3} {
			got, err := f.Resume(t.Context(), ResumeConfig{Pairs: 10, Count: 100, Gap: gap, Roam: true})
			if err != nil || got.Resumptions != 100 || got.Messages != int64(100*gap) || got.Failed+int(got.Lost+got.Twice+got.Disordered) != 0 {
				t.Errorf("%+v, %v", got, err)
			}
		}
		if s := f.Status(); s.Online != 20 || s.Lost != 0 {
			t.Errorf("%+v, want 20 online", s)
		}
	}
}

// TestRoamTargets: each connection of a phone that roams is to the next server, and other clients
// use their own.
func TestRoamTargets(t *testing.T) {
	cs := &Clients{cfg: Config{Targets: []string{"a", "b", "c"}}}
	for number, want := range []string{"a", "b", "c", "a"} {
		if got := cs.target(&Client{number: number}); got != want {
			t.Errorf("client %d: %s, want %s", number, got, want)
		}
	}
	for moves, want := range []string{"b", "c", "a", "b"} {
		if got := cs.target(&Client{number: 1, phone: &phone{moves: moves}}); got != want {
			t.Errorf("after %d moves: %s, want %s", moves, got, want)
		}
	}
}

// TestRoamAlone: nobody can roam at one server.
func TestRoamAlone(t *testing.T) {
	f := newTestClients(t, Config{Target: startRoost(t, 2).starttls, SM: true})
	if err := f.Login(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Resume(t.Context(), ResumeConfig{Pairs: 1, Count: 1, Roam: true}); !errors.Is(err, errOneTarget) {
		t.Errorf("%v, want %v", err, errOneTarget)
	}
}
