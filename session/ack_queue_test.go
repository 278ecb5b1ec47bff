package session

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// kept is a stanza in the model of a queue.
type kept struct {
	text  string
	at    int64
	flags ackFlags
	id    int64
}

// playQueue performs the operations that script encodes, on a queue and on a slice, and
// compares the two.
func playQueue(t *testing.T, script []byte) {
	var q ackQueue
	var want []kept
	for i, op := range script {
		before := q.bytes()
		if op&1 == 0 || len(want) == 0 {
			x := kept{text: strings.Repeat(string(rune('a'+i%26)), int(op)*3), at: int64(i) << 33}
			if op&2 != 0 {
				x.flags |= ackStamped
			}
			if op&4 != 0 {
				x.flags |= ackStored
				x.id = int64(op)<<40 | int64(i)
			} else if op&8 != 0 {
				x.flags |= ackCopied
				x.id = int64(op)<<40 | int64(i)
			}
			q.add(ackEntry{stanza: []byte(x.text), at: x.at, flags: x.flags, id: x.id})
			want = append(want, x)
		} else {
			n := 1 + int(op>>1)%len(want)
			if size := q.drop(uint32(n)); size != before-q.bytes() {
				t.Fatalf("step %d: drop returned %d, want %d", i, size, before-q.bytes())
			}
			want = want[n:]
		}
		size, copies := 0, uint32(0)
		var ids []int64
		for _, x := range want {
			size += ackHeader + len(x.text)
			if x.id != 0 {
				size += ackID
			}
			if x.flags&ackStored != 0 {
				ids = append(ids, x.id)
			}
			if x.flags&ackCopied != 0 {
				copies++
			}
		}
		if q.bytes() != size || int(q.len) != len(want) || int(q.stored) != len(ids) || q.copied != copies {
			t.Fatalf("step %d: %d bytes of %d stanzas, %d stored; want %d of %d, %d stored", i, q.bytes(), q.len, q.stored, size, len(want), len(ids))
		}
		var got []kept
		for e := range q.all() {
			got = append(got, kept{string(e.stanza), e.at, e.flags, e.id})
		}
		if !slices.Equal(got, want) {
			t.Fatalf("step %d: the queue has %v, want %v", i, got, want)
		}
		for n := range len(want) + 1 {
			first := ids[:0:0]
			for _, x := range want[:n] {
				if x.flags&ackStored != 0 {
					first = append(first, x.id)
				}
			}
			if got := q.appendStored(nil, uint32(n)); !slices.Equal(got, first) {
				t.Fatalf("step %d: of %d stanzas, %v are stored, want %v", i, n, got, first)
			}
		}
	}
}

// TestAckQueue: a queue returns what was added, in order, and its buffer does not grow with
// the number of stanzas that pass through it.
func TestAckQueue(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		script := make([]byte, random.IntN(300))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		playQueue(t, script)
	}
	var q ackQueue
	q.add(ackEntry{stanza: []byte("first")})
	for range 100_000 { // it is never empty
		q.add(ackEntry{stanza: bytes.Repeat([]byte("x"), 100)})
		q.drop(1)
	}
	if cap(q.buf) > 4<<10 {
		t.Errorf("the buffer of a queue with %d bytes has %d", q.bytes(), cap(q.buf))
	}
}

// FuzzAckQueue: see TestAckQueue. A script is not longer than those, because the time of
// playQueue grows with the third power of its length.
func FuzzAckQueue(f *testing.F) {
	f.Add([]byte{0, 2, 4, 1, 255, 3})
	f.Fuzz(func(t *testing.T, script []byte) { playQueue(t, script[:min(len(script), 300)]) })
}
