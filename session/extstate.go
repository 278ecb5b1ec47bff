package session

import (
	"fmt"
	"math/bits"
	"strings"
	"sync"
)

// State of sessions that other packages own: a bit of a session, or a value in its cold
// part. Each is made once, in a package variable of its owner, and applies to
// all sessions.

// Flag is one bit of every session. It costs no memory: the bits are in the parser, in what
// would be padding.
type Flag struct{ bit uint32 }

// NewFlag allocates a flag. It panics if no bits are left; purpose is for that message.
func NewFlag(purpose string) Flag { return Flag{flags.take(purpose)} }

// Set sets the flag.
func (f Flag) Set(s *Session) { s.parser.Extra.Or(f.bit) }

// Clear clears the flag.
func (f Flag) Clear(s *Session) { s.parser.Extra.And(^f.bit) }

// Has reports whether the flag is set.
func (f Flag) Has(s *Session) bool { return s.parser.Extra.Load()&f.bit != 0 }

// flags has the bits that are not allocated yet.
var flags = flagBits{free: 1<<numFlags - 1}

// flagBits allocates bits, each once.
type flagBits struct {
	mu    sync.Mutex
	free  uint32
	taken []string // the purpose of each
}

func (b *flagBits) take(purpose string) uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free == 0 {
		panic(fmt.Sprintf("session: BUG: no bit left for the flag %q: all %d are taken, by %q; use a Slot",
			purpose, len(b.taken), strings.Join(b.taken, ", ")))
	}
	bit := uint32(1) << bits.TrailingZeros32(b.free)
	b.free &^= bit
	b.taken = append(b.taken, purpose)
	return bit
}

// Slot is an optional value of type T of each session. A session without one does not pay
// for it. Its owner must synchronize access to what the value contains.
type Slot[T any] struct{ id *slotID }

// slotID identifies a slot by its address.
type slotID struct{ _ byte }

// slotValue is an entry in a session's (short) list of values.
type slotValue struct {
	of    *slotID
	value any
	next  *slotValue
}

// NewSlot makes a slot.
func NewSlot[T any]() Slot[T] { return Slot[T]{new(slotID)} }

// Get returns the session's value, nil if it has none.
func (l Slot[T]) Get(s *Session) *T {
	x := s.cold.Load()
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return l.find(x)
}

// find is Get for a caller that holds the lock.
func (l Slot[T]) find(x *coldState) *T {
	if x.rare == nil {
		return nil
	}
	for v := x.rare.slots; v != nil; v = v.next {
		if v.of == l.id {
			return v.value.(*T)
		}
	}
	return nil
}

// Make returns the session's value, creating it if there is none. Binding drops earlier
// values.
func (l Slot[T]) Make(s *Session) *T {
	x := s.ensureCold()
	x.mu.Lock()
	defer x.mu.Unlock()
	v := l.find(x)
	if v == nil {
		v = new(T)
		r := x.needRare()
		r.slots = &slotValue{of: l.id, value: v, next: r.slots}
	}
	return v
}

// Drop removes the session's value.
func (l Slot[T]) Drop(s *Session) {
	x := s.cold.Load()
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rare == nil {
		return
	}
	for p := &x.rare.slots; *p != nil; p = &(*p).next {
		if (*p).of == l.id {
			*p = (*p).next
			break
		}
	}
	x.dropRare()
}
