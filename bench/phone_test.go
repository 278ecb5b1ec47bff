package bench

import (
	"context"
	"errors"
	"testing"
)

// TestMessagesInGap: messages that do not arrive, arrive again or arrive after a later one are
// counted; those of earlier runs are not.
func TestMessagesInGap(t *testing.T) {
	const first = 1000
	for _, test := range []struct {
		desc                    string
		arrive                  []uint64
		lost, twice, disordered int64
	}{
		{"all", []uint64{0, 1, 2, 3, 4}, 0, 0, 0},
		{"none", nil, 5, 0, 0},
		{"the last is lost", []uint64{0, 1, 2, 3}, 1, 0, 0},
		{"two are lost", []uint64{0, 3, 4}, 2, 0, 0},
		{"twice", []uint64{0, 1, 0, 1, 2, 2, 3, 4}, 0, 3, 0},
		{"disordered", []uint64{0, 2, 1, 3, 4}, 0, 0, 1},
		{"disordered and twice", []uint64{1, 2, 0, 0, 3}, 1, 1, 1},
	} {
		run := &resumeRun{ctx: context.Background()}
		run.going.Add(1)
		p := &phone{run: run, first: first, next: first, sent: first + 6, messages: 5, missing: make(map[uint64]struct{})}
		p.received(first - 1)
		for _, n := range test.arrive {
			p.received(first + n)
		}
		p.sent-- // so that the last of them did not begin the next step
		p.received(first + 5)
		run.ended(p, errors.New("over"))
		if r := run.result(); r.Lost != test.lost || r.Twice != test.twice || r.Disordered != test.disordered || r.Messages != 5 || r.Failed != 1 {
			t.Errorf("%s: %+v", test.desc, r)
		}
		if err := run.wait(); err != nil {
			t.Error(err)
		}
	}
}
