package session

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"roost/jid"
	"roost/store"
	"roost/store/faultstore"
	"roost/store/memstore"
)

// countingClient is a client that logs in with a token and counts.
type countingClient struct {
	t     *testing.T
	m     *Manager
	st    store.Store
	token string
}

func newCounted(t *testing.T) *countingClient {
	m, st := fastServer(t)
	return &countingClient{t, m, st, issue(t, m, phoneID, "HT-SHA-256-NONE")}
}

// check authenticates with a count, up to the point where the login goes on.
func (c *countingClient) check(count uint64) (*Session, error) {
	s := bound(c.m, channelBindings{})
	l := s.negotiation().login
	l.fast.counted, l.fast.count = true, count
	x := s.mechanism("HT-SHA-256-NONE", true).start(s).(*htExchange)
	if _, _, err := x.step([]byte("romeo\x00" + string(htHash(c.token, "Initiator", nil)))); err != nil {
		return nil, err
	}
	s.jid = x.who.Compact()
	l.change = s.tokenChange(l)
	return s, nil
}

// finish goes on, and reports whether the login succeeds, and whether it has waited for the
// store.
func (c *countingClient) finish(s *Session) (ok, stored bool) {
	l := s.negotiation().login
	if !s.rememberCount(l) {
		return false, false
	}
	stored = l.change != nil
	return s.changeTokens(l), stored
}

// login reports whether a login with a count succeeds, and whether it has waited for the store.
func (c *countingClient) login(count uint64) (ok, stored bool) {
	c.t.Helper()
	s, err := c.check(count)
	if err != nil {
		if err != saslNotAuthorized {
			c.t.Error(err)
		}
		return false, false
	}
	return c.finish(s)
}

// stored returns the count in the store.
func (c *countingClient) stored() uint64 {
	c.t.Helper()
	record, err := c.m.readTokens(jid.MustParse("romeo@localhost"), phoneID)
	if err != nil || record.Current == nil {
		c.t.Fatalf("%+v, %v", record, err)
	}
	return record.Current.Count
}

func (c *countingClient) unsaved() int {
	c.m.tokenCounts.mu.Lock()
	defer c.m.tokenCounts.mu.Unlock()
	return len(c.m.tokenCounts.unsaved)
}

// TestCountIsStoredLater: a login that changes only the count does not wait for the store,
// which has the count soon. XEP-0484: a count "less than or equal to a count that has already
// been processed for this token" is refused at any time
// (https://xmpp.org/extensions/xep-0484.html#fast-auth).
func TestCountIsStoredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(t)
		f := func(count uint64, want, wantStored bool) {
			t.Helper()
			if ok, stored := c.login(count); ok != want || stored != wantStored {
				t.Errorf("count %d: %v, stored at once: %v; want %v, %v", count, ok, stored, want, wantStored)
			}
		}
		f(1, true, true) // the first use of a new token
		f(1, false, false)
		f(3, true, false)
		f(3, false, false)
		f(2, false, false)
		f(5, true, false)
		if n := c.stored(); n != 1 {
			t.Errorf("%d is stored at once", n)
		}
		time.Sleep(countDelay)
		synctest.Wait()
		if n, left := c.stored(), c.unsaved(); n != 5 || left != 0 {
			t.Errorf("%d is stored, want 5; %d left", n, left)
		}
		f(5, false, false)
		f(6, true, false)
		c.m.Close()
		if n := c.stored(); n != 6 {
			t.Errorf("%d is stored when the server has stopped, want 6", n)
		}
	})
}

// TestFirstCount: the first count of a token may be 0, once, also when it has been stored.
func TestFirstCount(t *testing.T) {
	for _, desc := range []string{"first use", "later use"} {
		synctest.Test(t, func(t *testing.T) {
			c := newCounted(t)
			if desc == "later use" {
				s, err := c.check(1)
				if err != nil {
					t.Fatal(err)
				}
				l := s.negotiation().login
				l.fast.counted = false
				l.change = s.tokenChange(l)
				if ok, _ := c.finish(s); !ok {
					t.Fatal("a login without a count was refused")
				}
			}
			late, err := c.check(0)
			if err != nil {
				t.Fatalf("%s: %v", desc, err)
			}
			if ok, _ := c.login(0); !ok {
				t.Errorf("%s: count 0 was refused", desc)
			}
			if ok, _ := c.login(0); ok {
				t.Errorf("%s: count 0 was accepted twice", desc)
			}
			time.Sleep(countDelay)
			synctest.Wait()
			if left := c.unsaved(); left != 0 {
				t.Errorf("%s: %d counts wait", desc, left)
			}
			if ok, _ := c.login(0); ok {
				t.Errorf("%s: count 0 was accepted twice when it was stored", desc)
			}
			if ok, _ := c.finish(late); ok {
				t.Errorf("%s: count 0 was accepted from a login that had begun before", desc)
			}
			if ok, _ := c.login(1); !ok {
				t.Errorf("%s: count 1 was refused", desc)
			}
		})
	}
}

// TestCountAndSave: a login whose stored count was read before it changed waits for the
// store, where it is compared again.
func TestCountAndSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(t)
		c.login(1)
		late, err := c.check(2)
		if err != nil {
			t.Fatal(err)
		}
		next, err := c.check(3)
		if err != nil {
			t.Fatal(err)
		}
		if ok, stored := c.login(2); !ok || stored {
			t.Errorf("%v, stored at once: %v", ok, stored)
		}
		time.Sleep(countDelay)
		synctest.Wait()
		if ok, _ := c.finish(late); ok {
			t.Error("count 2 was accepted twice")
		}
		if ok, stored := c.finish(next); !ok || !stored {
			t.Errorf("%v, stored at once: %v", ok, stored)
		}
	})
}

// TestCountOnce: of logins with the same count at the same time, at most one succeeds,
// whatever is stored meanwhile.
func TestCountOnce(t *testing.T) {
	c := newCounted(t)
	c.login(1)
	const last = 200
	var accepted [last + 1]atomic.Int64
	var stop atomic.Bool
	var saver, logins sync.WaitGroup
	saver.Go(func() {
		for !stop.Load() {
			c.m.tokenCounts.save()
		}
	})
	for i := range 4 {
		logins.Go(func() {
			for count := uint64(2); count <= last; count++ {
				s, err := c.check(count)
				if err != nil {
					continue
				}
				if i == 0 && count%3 == 0 { // a change of something else, too
					l := s.negotiation().login
					l.change.countOnly = false
				}
				if ok, _ := c.finish(s); ok {
					accepted[count].Add(1)
				}
			}
		})
	}
	logins.Wait()
	stop.Store(true)
	saver.Wait()
	for count := range accepted {
		if n := accepted[count].Load(); n > 1 {
			t.Errorf("count %d was accepted %d times", count, n)
		}
	}
	if accepted[last].Load() == 0 {
		t.Error("the last count was not accepted")
	}
	c.m.tokenCounts.save()
	if n, left := c.stored(), c.unsaved(); n != last || left != 0 {
		t.Errorf("%d is stored, want %d; %d left", n, last, left)
	}
}

// TestManyCounts: when many counts wait, they are stored without a delay, and a login beyond
// the limit stores its own.
func TestManyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(t)
		c.login(1)
		counts := &c.m.tokenCounts
		nonce := func(i int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i)) }
		fill := func(n int) {
			counts.mu.Lock()
			defer counts.mu.Unlock()
			for i := len(counts.unsaved); i < n; i++ {
				counts.add(jid.MustParse("nobody@localhost"), phoneID, nonce(i), 1)
			}
		}
		fill(maxUnsavedCounts)
		if ok, stored := c.login(2); !ok || !stored {
			t.Errorf("beyond the limit: %v, stored at once: %v", ok, stored)
		}
		if n := c.unsaved(); n != maxUnsavedCounts {
			t.Errorf("%d counts wait, want %d", n, maxUnsavedCounts)
		}
		synctest.Wait() // without a delay
		if n := c.unsaved(); n != 0 {
			t.Errorf("%d counts wait", n)
		}
		fill(maxUnsavedCounts/2 - 2)
		c.login(3)
		synctest.Wait()
		if n := c.unsaved(); n != maxUnsavedCounts/2-1 {
			t.Errorf("%d counts wait, want %d", n, maxUnsavedCounts/2-1)
		}
		_ = counts.remember(jid.MustParse("nobody@localhost"), phoneID, nonce(maxUnsavedCounts), 1, counts.removals.Load())
		synctest.Wait()
		if n := c.unsaved(); n != 0 {
			t.Errorf("%d counts wait", n)
		}
	})
}

// TestCountsOfBrokenStore: counts that cannot be stored are kept, and stored later. A token
// that was revoked meanwhile does not come back.
func TestCountsOfBrokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults faultstore.Faults
		st, err := memstore.New().Open(t.Context(), faults.Options())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		var log strings.Builder
		m := fastServerOn(t, st, slog.New(slog.NewTextHandler(&log, nil)))
		c := &countingClient{t, m, st, issue(t, m, phoneID, "HT-SHA-256-NONE")}
		c.login(1)
		faults.SetFault(func(op string) error {
			if op == "UpdateBlobs" {
				return errors.New("the disk is full")
			}
			return nil
		})
		for count := uint64(2); count < 5; count++ {
			if ok, stored := c.login(count); !ok || stored {
				t.Errorf("count %d: %v, stored at once: %v", count, ok, stored)
			}
			time.Sleep(countDelay)
			synctest.Wait()
		}
		if ok, _ := c.login(4); ok || c.stored() != 1 {
			t.Errorf("count 4 again: %v; %d is stored", ok, c.stored())
		}
		if n := strings.Count(log.String(), "cannot store the counts of tokens"); n != 1 {
			t.Errorf("the log has %d lines about counts that cannot be stored, want one:\n%s", n, &log)
		}
		faults.SetFault(nil)
		time.Sleep(countDelay)
		synctest.Wait()
		if n, left := c.stored(), c.unsaved(); n != 4 || left != 0 {
			t.Errorf("%d is stored, want 4; %d left", n, left)
		}
		c.login(5)
		if n, err := RevokeTokens(t.Context(), st, jid.MustParse("romeo@localhost"), ""); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		time.Sleep(countDelay)
		synctest.Wait()
		if keys, err := st.BlobKeys(t.Context(), jid.MustParse("romeo@localhost"), tokenKind); len(keys) != 0 || err != nil || c.unsaved() != 0 {
			t.Errorf("%q, %v; %d left", keys, err, c.unsaved())
		}
	})
}
