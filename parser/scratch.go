package parser

import (
	"slices"
	"sync"
)

// Scratch is the memory with which one goroutine parses, for any number of
// streams, one after another. It must not be used by two goroutines at once.
type Scratch struct {
	limits Limits
	max    int     // bytes of an element of the stream that is parsed
	tape   *Tape   // the element under way, or the last one
	free   []*Tape // spare ones

	// The window, and what it covers: bytes from to to of data, in which they
	// count from the slice that the next call of Next is expected to get: the
	// lastBlock of that of the last call. Only then the window is used again.
	win       window
	from, to  int
	reason    *Error  // what is wrong with the byte at to, if anything
	owner     uintptr // who parsed last; only compared, so that nothing is kept alive
	next      *byte   // the first byte that it has left
	remaining int     // how many bytes it has left

	work uint64 // bytes classified and copied, and runs of the machine: tests hold it linear
}

// NewScratch returns memory for one goroutine.
func NewScratch(l Limits) *Scratch {
	l.normalize()
	return &Scratch{limits: l, tape: newTape()}
}

// Tape is what the last StreamOpen or Stanza left. It is lent until the next
// call of Next with the same Scratch, and not longer than the data given to
// that call is valid: see Take.
func (s *Scratch) Tape() *Tape { return s.tape }

// Take is as Tape, but the document has its own copy of the bytes and belongs to
// the caller until Release.
func (s *Scratch) Take() *Tape {
	d := s.tape
	d.own, d.src = d.copy(d.src), nil
	d.src = d.own
	s.tape = s.getTape()
	return d
}

// TakeCompact is as Take, but the document's memory is as large as the element
// needs.
func (s *Scratch) TakeCompact() *Tape {
	d := s.tape.compact(s.tape.src)
	d.src = d.own
	return d
}

// compact returns a copy of the document with b as its bytes.
func (d *Tape) compact(b []byte) *Tape {
	c := *d
	c.src = nil
	c.own, c.tape, c.open, c.binds = slices.Clone(b), slices.Clone(d.tape), slices.Clone(d.open), slices.Clone(d.binds)
	c.text, c.memo, c.outer = slices.Clone(d.text), slices.Clone(d.memo), nil
	return &c
}

const (
	spareTapes     = 8        // documents that a Scratch keeps
	maxSpareBytes  = 64 << 10 // a larger buffer does not stay with a spare document, in bytes
	maxSpareTokens = 4 << 10  // likewise a longer tape, in tokens
)

// tapes has the Tapes that were released, from all goroutines.
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

func (s *Scratch) putTape(d *Tape) {
	if len(s.free) < spareTapes {
		d.trim()
		s.free = append(s.free, d)
		return
	}
	d.Release()
}

// Release gives the document's memory back, for any goroutine's next one.
// Nothing that came from the document may be used afterwards.
func (d *Tape) Release() {
	d.trim()
	tapes.Put(d)
}

// trim drops what is not the document's own, and memory that is unusually
// large.
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
