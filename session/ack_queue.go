package session

import (
	"encoding/binary"
	"iter"
	"slices"
	"sync"
)

// ackQueue holds the stanzas that were sent to a client and that it has not acknowledged,
// oldest first, in one buffer. It takes no locks: coldState.mu of its session guards it.
type ackQueue struct {
	buf    []byte // entries: their header, their ID if they have one, and the stanza
	head   int    // the offset of the oldest entry in buf
	len    uint32 // number of entries
	stored uint32 // number of entries that are in the store
	copied uint32 // number of entries that are copies
	large  int    // the size of the largest entry, if that is at least largeEntry
	listed bool   // in Manager.large

	// The newest entries may not have been sent on the present connection: they are sent
	// when the client has read those before them.
	unsent uint32 // the number of these
	next   int    // the offset of the first of these, if there are any

	// asked is the time of the outstanding request for an acknowledgement, in nanoseconds
	// since Manager.started; 0: none is outstanding.
	asked int64

	// unconfirmed is the number of bytes that the client's system had not received when that was
	// last looked at, after the request; 0: not looked at yet; noneUnconfirmed: there were none.
	unconfirmed int
}

const noneUnconfirmed = -1

// receiving is called now and then while a request is outstanding, with the number of bytes that
// the client's system has not received. It reports whether the client may not have had the time to
// respond, because it has received some of them since the last call.
func (q *ackQueue) receiving(unconfirmed int) bool {
	was := q.unconfirmed
	switch {
	case was == noneUnconfirmed:
		return false // it has the request; what is unconfirmed was sent later
	case unconfirmed == 0:
		q.unconfirmed = noneUnconfirmed
		return was > 0
	}
	q.unconfirmed = unconfirmed
	return unconfirmed < was
}

// ackHeader is the size of an entry's header: the length of the stanza with flags, and the
// Unix time in milliseconds when it was sent. Some entries have an ID of 8 bytes after it.
const (
	ackHeader = 4 + 8
	ackID     = 8
)

// ackFlags are flags of an entry, in the high bits of the length.
type ackFlags uint32

const (
	ackStamped   ackFlags = 1 << (31 - iota) // the stanza is a message with a delay stamp of this server
	ackStored                                // it is in the store; the entry's ID is the message's
	ackCopied                                // it is one of several copies; the entry's ID is of type Copies
	ackSettled                               // it is such a copy, and not to be handed on
	ackElsewhere                             // resources on other nodes got the message, too: see CopyElsewhere

	ackHasID    = ackStored | ackCopied
	ackFlagBits = ackStamped | ackStored | ackCopied | ackSettled | ackElsewhere
)

// ackFlagShift makes the flags a byte.
const ackFlagShift = 24

// ackEntry is an entry of the queue.
type ackEntry struct {
	stanza []byte
	at     int64 // when it was sent, in Unix milliseconds
	flags  ackFlags
	id     int64  // with ackHasID
	head   []byte // in the queue: the entry's own bytes
}

// settle sets ackSettled in the queue.
func (e *ackEntry) settle() {
	n := binary.LittleEndian.Uint32(e.head)
	binary.LittleEndian.PutUint32(e.head, n|uint32(ackSettled))
}

// isolate takes ackElsewhere away in the queue.
func (e *ackEntry) isolate() {
	n := binary.LittleEndian.Uint32(e.head)
	binary.LittleEndian.PutUint32(e.head, n&^uint32(ackElsewhere))
}

// size returns the number of bytes that the entry takes.
func (e *ackEntry) size() int {
	if e.flags&ackHasID != 0 {
		return ackHeader + ackID + len(e.stanza)
	}
	return ackHeader + len(e.stanza)
}

// keepAckBuf is the capacity of the largest buffer that an unused queue keeps, in bytes.
const keepAckBuf = 4 << 10

// ackQueues holds unused queues.
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

// largeEntry is the size from which an entry is large, in bytes.
const largeEntry = 32 << 10

// limited returns the size that counts towards the limit: that of all entries, without the
// largest one if that is large. A large roster, for example, does not mean that the client
// acknowledges slowly.
func (q *ackQueue) limited() int {
	if q == nil {
		return 0
	}
	return q.bytes() - q.large
}

// findLarge finds the largest entry.
func (q *ackQueue) findLarge() {
	q.large = 0
	for e := range q.all() {
		q.grew(e.size())
	}
}

// grew is called for an entry of n bytes.
func (q *ackQueue) grew(n int) {
	if n >= largeEntry {
		q.large = max(q.large, n)
	}
}

// add appends an entry. It copies the stanza.
func (q *ackQueue) add(e ackEntry) {
	n := e.size()
	q.grew(n)
	if len(q.buf)+n > cap(q.buf) {
		// Move the entries to the front if that makes space for a while, so that each byte
		// is moved about once at most.
		if q.head >= len(q.buf)/2 && q.head >= n {
			q.buf = q.buf[:copy(q.buf, q.buf[q.head:])]
			q.next -= q.head
			q.head = 0
		}
		q.buf = slices.Grow(q.buf, n)
	}
	q.buf = binary.LittleEndian.AppendUint32(q.buf, uint32(len(e.stanza))|uint32(e.flags))
	q.buf = binary.LittleEndian.AppendUint64(q.buf, uint64(e.at))
	if e.flags&ackHasID != 0 {
		q.buf = binary.LittleEndian.AppendUint64(q.buf, uint64(e.id))
	}
	q.count(e.flags, 1)
	q.buf = append(q.buf, e.stanza...)
	q.len++
}

// remove removes the entries for which which returns true, and returns their total size. The
// caller has to update unsent and next.
func (q *ackQueue) remove(which func(*ackEntry) bool) (size int) {
	to := q.head
	for at := q.head; at < len(q.buf); {
		e := entryAt(q.buf[at:])
		n := e.size()
		if which(&e) {
			q.count(e.flags, -1)
			q.len--
			size += n
		} else {
			to += copy(q.buf[to:], q.buf[at:at+n])
		}
		at += n
	}
	q.buf = q.buf[:to]
	if size > 0 && q.large > 0 {
		q.findLarge()
	}
	return size
}

// count adds n, which is 1 or -1, to the numbers of entries with these flags.
func (q *ackQueue) count(flags ackFlags, n int32) {
	if flags&ackStored != 0 {
		q.stored += uint32(n)
	}
	if flags&ackCopied != 0 {
		q.copied += uint32(n)
	}
}

// entryAt returns the first entry in buf. Its stanza is a subslice of buf.
func entryAt(buf []byte) (e ackEntry) {
	n := binary.LittleEndian.Uint32(buf)
	e.head = buf
	e.flags = ackFlags(n) & ackFlagBits
	e.at = int64(binary.LittleEndian.Uint64(buf[4:]))
	buf = buf[ackHeader:]
	if e.flags&ackHasID != 0 {
		e.id = int64(binary.LittleEndian.Uint64(buf))
		buf = buf[ackID:]
	}
	e.stanza = buf[:ackFlags(n)&^ackFlagBits]
	return e
}

// all returns the entries, oldest first. They are valid until the next change, during the
// iteration too.
func (q *ackQueue) all() iter.Seq[ackEntry] {
	return func(yield func(ackEntry) bool) {
		for at := q.head; at < len(q.buf); {
			e := entryAt(q.buf[at:])
			if !yield(e) {
				return
			}
			at += e.size()
		}
	}
}

// first is all for the n oldest entries.
func (q *ackQueue) first(n int) iter.Seq[ackEntry] {
	return func(yield func(ackEntry) bool) {
		for e := range q.all() {
			if n--; n < 0 || !yield(e) {
				return
			}
		}
	}
}

// appendStored appends the IDs of those of the n oldest stanzas that are in the store.
func (q *ackQueue) appendStored(ids []int64, n uint32) []int64 {
	if q == nil || q.stored == 0 {
		return ids
	}
	for e := range q.all() {
		if n == 0 {
			break
		}
		n--
		if e.flags&ackStored != 0 {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// behind reports whether some entries were not sent on the present connection.
func (q *ackQueue) behind() bool { return q != nil && q.unsent > 0 }

// drop removes the n oldest stanzas, and returns the size of their entries. There must be at
// least n.
func (q *ackQueue) drop(n uint32) (size int) {
	was := q.head
	q.len -= n
	q.unsent = min(q.unsent, q.len)
	if q.len == 0 {
		q.head, q.stored, q.copied, q.large = len(q.buf), 0, 0, 0
		return q.head - was
	}
	large := false
	for ; n > 0; n-- {
		e := entryAt(q.buf[q.head:])
		q.count(e.flags, -1)
		q.head += e.size()
		large = large || e.size() == q.large
	}
	if large {
		q.findLarge()
	}
	q.next = max(q.next, q.head)
	return q.head - was
}
