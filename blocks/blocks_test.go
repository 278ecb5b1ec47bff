package blocks

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"roost/store"
	"roost/store/faultstore"
	"roost/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens the list of a store, whose faults may be nil, at a time.
func open(t *testing.T, l *memstore.Location, faults *faultstore.Faults, now *time.Time) *List {
	t.Helper()
	var o store.Options
	if faults != nil {
		o = faults.Options()
	}
	st, err := l.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	list, err := Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	list.now = func() time.Time { return *now }
	return list
}

// TestLookup: an address is found in each network that it is in, and an account by its
// address, until the end of the block.
func TestLookup(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	l := open(t, memstore.New(), nil, &now)
	for _, target := range []string{"192.0.2.0/24", "192.0.2.128/25", "198.51.100.7/32", "2001:db8::/32", "2001:db8:1::/64", "romeo@example.net"} {
		b := store.Block{Target: target, Reason: "of " + target}
		if target == "192.0.2.128/25" || target == "romeo@example.net" {
			b.Until = now.Add(time.Minute)
		}
		if err := l.Add(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	network := func(addr string, want ...string) {
		t.Helper()
		b, found := l.Network(netip.MustParseAddr(addr))
		if found != (len(want) > 0) || found && !slices.Contains(want, b.Target) || found && b.Reason != "of "+b.Target {
			t.Errorf("%s: %+v %v, want %q", addr, b, found, want)
		}
	}
	network("192.0.2.1", "192.0.2.0/24")
	network("::ffff:192.0.2.1", "192.0.2.0/24")
	network("192.0.2.200", "192.0.2.0/24", "192.0.2.128/25")
	network("192.0.3.1")
	network("198.51.100.7", "198.51.100.7/32")
	network("198.51.100.8")
	network("2001:db8:ffff::1", "2001:db8::/32")
	network("2001:db8:1::1%eth0", "2001:db8::/32", "2001:db8:1::/64")
	network("2001:db9::1")
	network("::1")
	if _, found := l.Network(netip.Addr{}); found {
		t.Error("no address is blocked")
	}
	account := func(bare string, want bool) {
		t.Helper()
		if _, found := l.Account(bare); found != want {
			t.Errorf("%s: %v", bare, found)
		}
	}
	account("romeo@example.net", true)
	account("juliet@example.net", false)
	account("192.0.2.0/24", false)
	if n := testing.AllocsPerRun(100, func() { l.Network(netip.AddrFrom4([4]byte{192, 0, 2, 1})) }); n != 0 {
		t.Errorf("%v allocations", n)
	}

	if err := l.Remove(t.Context(), "192.0.2.0/24"); err != nil {
		t.Error(err)
	}
	network("192.0.2.1")
	network("192.0.2.200", "192.0.2.128/25")
	now = now.Add(time.Minute)
	network("192.0.2.200")
	account("romeo@example.net", false)
	if all := l.All(); len(all) != 3 {
		t.Errorf("%+v", all)
	}
}

// TestKept: blocks outlive the server, but for those that have ended; and what the store
// refuses is not in force.
func TestKept(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	location, faults := memstore.New(), new(faultstore.Faults)
	l := open(t, location, faults, &now)
	ctx := t.Context()
	ends := store.Block{Target: "192.0.2.1/32", Until: now.Add(time.Minute)}
	stays := store.Block{Target: "romeo@example.net"}
	for _, b := range []store.Block{stays, ends, stays} {
		if err := l.Add(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	same := func(want ...store.Block) {
		t.Helper()
		for _, l := range []*List{l, open(t, location, nil, &now)} {
			if got := l.All(); !slices.Equal(got, want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	}
	same(ends, stays)
	calls := faults.Total()
	if err := l.RemoveEnded(ctx); err != nil || faults.Total() != calls {
		t.Errorf("%v, %d calls of the store although nothing has ended", err, faults.Total()-calls)
	}
	if err := l.Remove(ctx, "198.51.100.0/24"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}

	failed := errors.New("the disk is gone")
	faults.SetFault(func(string) error { return failed })
	now = now.Add(time.Minute)
	for what, err := range map[string]error{
		"Add": l.Add(ctx, store.Block{Target: "2001:db8::/32"}), "Remove": l.Remove(ctx, stays.Target), "RemoveEnded": l.RemoveEnded(ctx),
	} {
		if !errors.Is(err, failed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	faults.SetFault(nil)
	same(stays)
	if _, found := l.Network(netip.MustParseAddr("2001:db8::1")); found {
		t.Error("a block that is not in the store is in force")
	}
	if err := l.RemoveEnded(ctx); err != nil {
		t.Error(err)
	}
	if all, err := l.store.ListBlocks(ctx); err != nil || !slices.Equal(all, []store.Block{stays}) {
		t.Errorf("%+v %v", all, err)
	}
}

// TestTooMany: the number of blocks is limited.
func TestTooMany(t *testing.T) {
	now := time.Now()
	l := open(t, memstore.New(), nil, &now)
	for i := range MaxBlocks {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
		if err := l.store.PutBlock(t.Context(), store.Block{Target: p.String()}, MaxBlocks); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Add(t.Context(), store.Block{Target: "192.0.2.0/24"}); !errors.Is(err, store.ErrQuota) {
		t.Error(err)
	}
}
