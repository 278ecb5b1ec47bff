package session

import (
	"fmt"
	"math/bits"
	"strings"
	"sync"
)

// What others than this package need to remember of a session: a bit of its state, or
// a value in the part of a session that only few have. Both are made once, in a
// variable of the package that owns them, and are those of all sessions.

// Flag is one bit of every session. It costs no memory.
type Flag struct{ bit uint32 }

// NewFlag makes a flag; purpose is for the message of the panic when there are no bits
// left.
func NewFlag(purpose string) Flag { return Flag{flags.take(purpose)} }

// Set sets the flag.
func (f Flag) Set(s *Session) { s.set(f.bit) }

// Clear clears the flag.
func (f Flag) Clear(s *Session) { s.unset(f.bit) }

// Has reports whether the flag is set.
func (f Flag) Has(s *Session) bool { return s.has(f.bit) }

// flags are the bits of Session.state that are left for Flags.
var flags = flagBits{free: ^uint32(flagEnd - 1)} // from flagEnd to the highest bit

// flagBits hands out bits, each once.
type flagBits struct {
	mu    sync.Mutex
	free  uint32
	taken []string // what for
}

func (b *flagBits) take(purpose string) uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free == 0 {
		panic(fmt.Sprintf("session: BUG: there is no bit left for the flag %q: all %d are taken, by %q; use a Slot",
			purpose, len(b.taken), strings.Join(b.taken, ", ")))
	}
	bit := uint32(1) << bits.TrailingZeros32(b.free)
	b.free &^= bit
	b.taken = append(b.taken, purpose)
	return bit
}

// Slot is a value of type T for those sessions that need one. A session without one
// pays nothing for it. What a value holds is protected by its owner.
type Slot[T any] struct{ id *slotID }

// slotID is one for each slot: its address is what tells slots from each other.
type slotID struct{ _ byte }

// slotValue is an entry in a session's list of values, which is short.
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

// find is Get under the lock.
func (l Slot[T]) find(x *coldState) *T {
	for v := x.slots; v != nil; v = v.next {
		if v.of == l.id {
			return v.value.(*T)
		}
	}
	return nil
}

// Make returns the session's value, a new one if it had none. The session must have
// been bound: binding drops what it had before.
func (l Slot[T]) Make(s *Session) *T {
	x := s.ensureCold()
	x.mu.Lock()
	defer x.mu.Unlock()
	v := l.find(x)
	if v == nil {
		v = new(T)
		x.slots = &slotValue{of: l.id, value: v, next: x.slots}
	}
	return v
}

// Drop forgets the session's value.
func (l Slot[T]) Drop(s *Session) {
	x := s.cold.Load()
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for p := &x.slots; *p != nil; p = &(*p).next {
		if (*p).of == l.id {
			*p = (*p).next
			return
		}
	}
}
