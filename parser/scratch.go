package parser

import (
	"slices"
	"sync"
)

// Scratch is the memory that one goroutine uses for parsing any number of streams, one
// after another. It must not be used by two goroutines at once.
type Scratch struct {
	limits Limits
	max    int     // limit in bytes of an element of the current stream
	tape   *Tape   // the current element, or the last one
	free   []*Tape // spare Tapes

	// The window covers bytes from to to of the slice that the next call of Next is
	// expected to get, which is the unconsumed part of the last call's slice. It is used
	// again only if the next call does get that slice.
	win       window
	from, to  int
	reason    *Error  // the error of the byte at to, if any
	owner     uintptr // the Parser of the last call; only compared, so that it is not kept alive
	next      *byte   // its first unconsumed byte
	remaining int     // number of its unconsumed bytes

	work uint64 // bytes classified and copied, plus calls of run: tests check that it is linear
}

// NewScratch returns a Scratch with these limits.
func NewScratch(l Limits) *Scratch {
	return &Scratch{limits: l.WithDefaults(), tape: newTape()}
}

// SetLimits changes the limits. An element that is incomplete is held to them when more of it
// arrives.
func (s *Scratch) SetLimits(l Limits) { s.limits = l.WithDefaults() }

// Tape returns the element of the last StreamOpen or Stanza. It is valid until the next
// call of Next with the same Scratch, and only as long as the data passed to Next is
// valid; see Take.
func (s *Scratch) Tape() *Tape { return s.tape }

// Take is like Tape, but the Tape has its own copy of the bytes and belongs to the caller
// until Release.
func (s *Scratch) Take() *Tape {
	d := s.tape
	d.own, d.src = d.copy(d.src), nil
	d.src = d.own
	s.tape = s.getTape()
	return d
}

// TakeCompact is like Take, but the memory of the Tape is only as large as the element
// needs.
func (s *Scratch) TakeCompact() *Tape {
	d := s.tape.compact(s.tape.src)
	d.src = d.own
	return d
}

// compact returns a copy of the Tape with b as its bytes.
func (d *Tape) compact(b []byte) *Tape {
	c := *d
	c.src = nil
	c.own, c.tape, c.open, c.binds = slices.Clone(b), slices.Clone(d.tape), slices.Clone(d.open), slices.Clone(d.binds)
	c.text, c.memo, c.outer = slices.Clone(d.text), slices.Clone(d.memo), nil
	return &c
}

// copyTo makes c a copy of the Tape with b as its bytes, in the memory that c has.
func (d *Tape) copyTo(c *Tape, b []byte) {
	own, text, tape, open, binds, memo := c.own, c.text, c.tape, c.open, c.binds, c.memo
	*c = *d
	c.src, c.outer = nil, nil
	c.own, c.text, c.tape = append(own[:0], b...), append(text[:0], d.text...), append(tape[:0], d.tape...)
	c.open, c.binds, c.memo = append(open[:0], d.open...), append(binds[:0], d.binds...), append(memo[:0], d.memo...)
}

const (
	spareTapes     = 8        // limit of the Tapes that a Scratch keeps
	maxSpareBytes  = 64 << 10 // limit in bytes of a buffer that a spare Tape keeps
	maxSpareTokens = 4 << 10  // the same for its tape, in tokens
)

// tapes holds the Tapes that were released by any goroutine.
var tapes = sync.Pool{New: func() any { return new(Tape) }}

func newTape() *Tape { return tapes.Get().(*Tape) }

func (s *Scratch) getTape() *Tape {
	if n := len(s.free); n > 0 {
		d := s.free[n-1]
		s.free = s.free[:n-1]
		return d
	}
	return newTape()
}

// getSmall is getTape for one that holds at most this many bytes.
func (s *Scratch) getSmall(most int) *Tape {
	for i, d := range slices.Backward(s.free) {
		if d.Held() <= most {
			s.free = slices.Delete(s.free, i, i+1)
			return d
		}
	}
	return new(Tape)
}

func (s *Scratch) putTape(d *Tape) {
	if len(s.free) < spareTapes {
		d.trim()
		s.free = append(s.free, d)
		return
	}
	d.Release()
}

// Release returns the Tape to a pool. Neither the Tape nor anything obtained from it may
// be used afterwards.
func (d *Tape) Release() {
	d.trim()
	tapes.Put(d)
}

// trim drops references to memory that the Tape does not own, and unusually large
// buffers.
func (d *Tape) trim() {
	d.src, d.ctx = nil, nil
	if cap(d.own) > maxSpareBytes {
		d.own = nil
	}
	if cap(d.text) > maxSpareBytes {
		d.text = nil
	}
	if cap(d.tape) > maxSpareTokens {
		d.tape = nil
	}
	if cap(d.binds) > maxPrefixes {
		d.binds = nil
	}
}
