package session

import (
	"encoding/binary"
	"slices"
	"sync"
)

// ackQueue has the stanzas that were sent to a client and that it has not acknowledged,
// oldest first, in one buffer. It takes no locks: coldState.mu of its session guards it.
type ackQueue struct {
	buf  []byte // entries: their header, and the stanza
	head int    // the offset of the oldest entry in buf
	len  uint32 // entries

	// asked is when an acknowledgement was requested that has not arrived, as nanoseconds
	// since Manager.started; 0: none is outstanding.
	asked int64
}

// ackHeader is the size of an entry's header: the length of the stanza, and the Unix time
// in milliseconds when it was sent.
const ackHeader = 4 + 8

// ackStamped is a bit of the length: the stanza has a delay stamp.
const ackStamped = 1 << 31

// keepAckBuf is the capacity of the largest buffer that an unused queue keeps, in bytes.
const keepAckBuf = 4 << 10

// ackQueues has unused queues.
var ackQueues = sync.Pool{New: func() any { return new(ackQueue) }}

// release returns an empty queue to the pool.
func (q *ackQueue) release() {
	*q = ackQueue{buf: q.buf[:0]}
	if cap(q.buf) > keepAckBuf {
		q.buf = nil
	}
	ackQueues.Put(q)
}

// bytes returns the size of all entries.
func (q *ackQueue) bytes() int {
	if q == nil {
		return 0
	}
	return len(q.buf) - q.head
}

// add appends a stanza that was sent at the time at, in Unix milliseconds, and says whether
// it is a message with a delay stamp. It copies b.
func (q *ackQueue) add(b []byte, at int64, stamped bool) {
	if n := ackHeader + len(b); len(q.buf)+n > cap(q.buf) {
		// Move the entries to the front if that makes enough space for a while: so each
		// byte is moved at most about once.
		if q.head >= len(q.buf)/2 && q.head >= n {
			q.buf = q.buf[:copy(q.buf, q.buf[q.head:])]
			q.head = 0
		}
		q.buf = slices.Grow(q.buf, n)
	}
	size := uint32(len(b))
	if stamped {
		size |= ackStamped
	}
	q.buf = binary.LittleEndian.AppendUint32(q.buf, size)
	q.buf = binary.LittleEndian.AppendUint64(q.buf, uint64(at))
	q.buf = append(q.buf, b...)
	q.len++
}

// oldest returns the arguments of add for the oldest stanza, which is valid until the next
// change. The queue must not be empty.
func (q *ackQueue) oldest() (b []byte, at int64, stamped bool) {
	e := q.buf[q.head:]
	n := binary.LittleEndian.Uint32(e)
	size := n &^ ackStamped
	return e[ackHeader : ackHeader+size], int64(binary.LittleEndian.Uint64(e[4:])), n&ackStamped != 0
}

// drop removes the n oldest stanzas, of which there must be so many, and returns the size
// of their entries.
func (q *ackQueue) drop(n uint32) (size int) {
	was := q.head
	q.len -= n
	if q.len == 0 {
		q.head = len(q.buf)
		return q.head - was
	}
	for ; n > 0; n-- {
		q.head += ackHeader + int(binary.LittleEndian.Uint32(q.buf[q.head:])&^ackStamped)
	}
	return q.head - was
}
