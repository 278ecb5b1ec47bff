// Package blocks manages the networks and accounts that may not use the server. They are
// stored in the store and in files; lookups read a copy in memory, without a lock.
package blocks

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"roost/store"
)

// MaxBlocks is the largest number of blocks that there may be.
const MaxBlocks = 10000

// List is all blocks: those of the store, and those of files. Only lookups know of the latter.
// Its methods may be called from any goroutine. Those that change it
// wait for the store.
type List struct {
	store store.Blocks
	now   func() time.Time // time.Now, but for tests

	mu      sync.Mutex // held while the list changes
	current atomic.Pointer[index]
	files   atomic.Pointer[Files] // nil: there are none
}

// index finds blocks. It never changes.
type index struct {
	all      []store.Block // in the order of their targets
	accounts map[string]*store.Block
	networks map[netip.Prefix]*store.Block
	bits     [2][]int // the lengths of the prefixes in networks: of IPv4, of IPv6
}

// Open reads the list from the store.
func Open(ctx context.Context, st store.Blocks) (*List, error) {
	all, err := st.ListBlocks(ctx)
	if err != nil {
		return nil, err
	}
	l := &List{store: st, now: time.Now}
	l.current.Store(newIndex(all))
	return l, nil
}

// family is the index in bits for an address.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func newIndex(all []store.Block) *index {
	x := &index{all: all, accounts: make(map[string]*store.Block), networks: make(map[netip.Prefix]*store.Block)}
	for i := range all {
		b := &all[i]
		p, err := netip.ParsePrefix(b.Target)
		if err != nil {
			x.accounts[b.Target] = b
			continue
		}
		x.networks[p.Masked()] = b
		if bits := &x.bits[family(p.Addr())]; !slices.Contains(*bits, p.Bits()) {
			*bits = append(*bits, p.Bits())
		}
	}
	return x
}

// inForce reports whether a block has not ended.
func (l *List) inForce(b *store.Block) bool { return b.Until.IsZero() || l.now().Before(b.Until) }

// SetFiles replaces the blocks of files, and reports whether they are others than before.
func (l *List) SetFiles(f *Files) (changed bool) {
	old := l.files.Swap(f)
	return old == nil || old.sum != f.sum
}

// Refresh reads the list from the store again, because other nodes change it, too. It reports
// whether there are new blocks.
func (l *List) Refresh(ctx context.Context) (added bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := l.store.ListBlocks(ctx)
	if err != nil {
		return false, err
	}
	old := l.current.Load().all
	if slices.Equal(all, old) {
		return false, nil
	}
	had := make(map[store.Block]bool, len(old))
	for _, b := range old {
		had[b] = true
	}
	added = slices.ContainsFunc(all, func(b store.Block) bool { return !had[b] })
	l.current.Store(newIndex(all))
	return added, nil
}

// Network returns the block that a client's address is in, if there is one. It takes a look
// into a map for each length of a prefix on the list, usually a few, and allocates nothing.
// The block is zero if it is from a file.
func (l *List) Network(a netip.Addr) (store.Block, bool) {
	if !a.IsValid() {
		return store.Block{}, false
	}
	a = a.Unmap().WithZone("")
	if l.files.Load().hasNetwork(a) {
		return store.Block{}, true
	}
	x := l.current.Load()
	for _, bits := range x.bits[family(a)] {
		p, err := a.Prefix(bits)
		if err != nil {
			continue
		}
		if b := x.networks[p]; b != nil && l.inForce(b) {
			return *b, true
		}
	}
	return store.Block{}, false
}

// Account returns the block of an account, a bare JID, if there is one. It is zero if it is
// from a file only.
func (l *List) Account(bare string) (store.Block, bool) {
	if b := l.current.Load().accounts[bare]; b != nil && l.inForce(b) {
		return *b, true
	}
	return store.Block{}, l.files.Load().hasAccount(bare)
}

// All returns the blocks that have not ended, in the order of their targets.
func (l *List) All() []store.Block {
	return l.without(func(b *store.Block) bool { return !l.inForce(b) })
}

// Add adds a block, or replaces that of the same target, which must be in its normal form.
// It returns store.ErrQuota if there are too many.
func (l *List) Add(ctx context.Context, b store.Block) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.store.PutBlock(ctx, b, MaxBlocks); err != nil {
		return err
	}
	all := l.without(func(old *store.Block) bool { return old.Target == b.Target })
	i, _ := slices.BinarySearchFunc(all, b.Target, func(b store.Block, target string) int { return strings.Compare(b.Target, target) })
	l.current.Store(newIndex(slices.Insert(all, i, b)))
	return nil
}

// Remove removes the block of a target, or returns store.ErrNotFound.
func (l *List) Remove(ctx context.Context, target string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.store.DeleteBlock(ctx, target); err != nil {
		return err
	}
	l.current.Store(newIndex(l.without(func(b *store.Block) bool { return b.Target == target })))
	return nil
}

// RemoveEnded removes the blocks that have ended. It does not call the store if there are
// none.
func (l *List) RemoveEnded(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	left := l.without(func(b *store.Block) bool { return !b.Until.IsZero() && !b.Until.After(now) })
	if len(left) == len(l.current.Load().all) {
		return nil
	}
	if err := l.store.DeleteEndedBlocks(ctx, now); err != nil {
		return err
	}
	l.current.Store(newIndex(left))
	return nil
}

// without returns a copy of the list without some blocks.
func (l *List) without(which func(*store.Block) bool) (all []store.Block) {
	old := l.current.Load().all
	for i := range old {
		if !which(&old[i]) {
			all = append(all, old[i])
		}
	}
	return all
}

// AccountText returns what a client is told whose account is blocked for a reason, which
// may be empty.
func AccountText(reason string) string {
	if reason == "" {
		return "This account is blocked."
	}
	return reason
}
