package session

import (
	"math/bits"
	"strings"
	"testing"
)

// TestFlags: each flag has its own bit, which the rest of a session's state does not use,
// and the error is clear when no bits are left.
func TestFlags(t *testing.T) {
	if left := bits.OnesCount32(flags.free); left < 4 {
		t.Errorf("only %d bits are left for flags", left)
	}
	b := flagBits{free: 1<<numFlags - 1}
	left := bits.OnesCount32(b.free)
	s := new(Session)
	s.set(^uint32(0)) // all that this package uses, and the priority
	seen := uint32(0)
	for range left {
		f := Flag{b.take("test")}
		if f.Has(s) || seen&f.bit != 0 {
			t.Errorf("the bit %#x is used twice", f.bit)
		}
		f.Set(s)
		if !f.Has(s) {
			t.Errorf("the bit %#x is not set", f.bit)
		}
		seen |= f.bit
		f.Clear(s)
		if s.parser.Extra.Load() != 0 || s.state.Load() != ^uint32(0) {
			t.Errorf("the flags are %#x and the state is %#x", s.parser.Extra.Load(), s.state.Load())
		}
	}
	defer func() {
		text, _ := recover().(string)
		if !strings.Contains(text, `no bit left for the flag "one too many"`) {
			t.Errorf("one flag too many: %q", text)
		}
	}()
	b.take("one too many")
}

// TestSlots: a session has a value of each slot after Make; reading does not create one.
func TestSlots(t *testing.T) {
	numbers, texts := NewSlot[int](), NewSlot[string]()
	a, b := new(Session), new(Session)
	if numbers.Get(a) != nil || a.cold.Load() != nil {
		t.Error("a session without values has one, or has allocated for it")
	}
	numbers.Drop(a)
	*texts.Make(a) = "text"
	*numbers.Make(a) = 7
	*numbers.Make(a)++
	if *numbers.Get(a) != 8 || *texts.Get(a) != "text" || numbers.Get(b) != nil {
		t.Errorf("the values are %d, %q and %v", *numbers.Get(a), *texts.Get(a), numbers.Get(b))
	}
	numbers.Drop(a)
	if numbers.Get(a) != nil || *texts.Get(a) != "text" {
		t.Error("another value was dropped")
	}
}
