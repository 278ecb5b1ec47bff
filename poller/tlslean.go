//go:build linux

package poller

import (
	"errors"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"

	"roost/poller/leantls"
)

// leanTLS is TLS 1.3 after the handshake: the session's state, plus keys while it is busy
// and a buffer while a record is incomplete. The loop owns the reading half of the state;
// the connection's lock guards the writing half.
type leanTLS struct {
	c     *Conn
	in    *bytebufferpool.ByteBuffer // loop: an incomplete record, or input that waits for the end of a pause; nil: none
	awake atomic.Pointer[leanKeys]   // kept while the session is busy, see keyCache
	off   uint32                     // loop: how many bytes of in were processed
	st    leantls.State
}

// leanKeys are a busy session's keys.
type leanKeys struct {
	rx   *leantls.Keys // loop
	tx   *leantls.Keys // under the connection's lock
	used atomic.Bool   // since the last tick of the cache
}

// keys returns the session's keys. Loop, or under the connection's lock.
func (t *leanTLS) keys() *leanKeys {
	k := t.awake.Load()
	if k == nil {
		k = t.c.loop.keys.wake(t)
	}
	if !k.used.Load() {
		k.used.Store(true)
	}
	return k
}

// open opens the records in bytes from the socket. Loop.
func (t *leanTLS) open(p []byte, above receiver) error {
	err := t.openAll(p, above)
	t.account()
	return err
}

// account counts the memory held for a peer that has not authenticated. Loop.
func (t *leanTLS) account() {
	if !t.c.unauth() || t.c.closed() {
		return
	}
	n := 0
	if t.in != nil {
		n = cap(t.in.B)
	}
	t.c.hold(heldTLS, n)
}

func (t *leanTLS) openAll(p []byte, above receiver) error {
	if t.st.PeerClosed() {
		return nil // RFC 8446 section 6.1: data after a close_notify is ignored
	}
	for t.in != nil {
		n, err := t.fill(p, above)
		if err != nil {
			return t.fail(err)
		}
		p = p[n:]
		if len(p) == 0 {
			return nil
		}
	}
	n, err := t.openRecords(p, above)
	if err != nil {
		return t.fail(err)
	}
	t.stash(p[n:])
	return nil
}

// fill adds n bytes of p to the kept record, to complete its header or body, and opens
// the record once it is complete.
func (t *leanTLS) fill(p []byte, above receiver) (n int, err error) {
	size, err := leantls.RecordLen(t.in.B)
	if err != nil {
		return 0, err
	}
	if size == 0 {
		size = leantls.HeaderLen
	}
	n = min(size-len(t.in.B), len(p))
	_, _ = t.in.Write(p[:n])
	size, err = leantls.RecordLen(t.in.B)
	if err != nil || size == 0 || len(t.in.B) < size {
		return n, err
	}
	in := t.in
	t.in = nil
	t.c.stall = 0
	err = t.openRecord(in.B, above)
	inputPool.Put(in)
	return n, err
}

// openRecords opens, in place, the complete records at the start of p until the handler
// pauses, and returns their length in bytes.
func (t *leanTLS) openRecords(p []byte, above receiver) (n int, err error) {
	for n < len(p) && !t.c.paused && !t.c.closed() {
		size, err := leantls.RecordLen(p[n:])
		if err != nil {
			return n, err
		}
		if size == 0 || size > len(p)-n {
			return n, nil
		}
		if err := t.openRecord(p[n:n+size], above); err != nil {
			return n, err
		}
		n += size
	}
	return n, nil
}

// openRecord opens one complete record.
func (t *leanTLS) openRecord(record []byte, above receiver) error {
	k := t.keys()
	k.rx = t.st.ReadKeys(k.rx)
	kind, data, err := t.st.Open(k.rx, record)
	switch {
	case err != nil:
		return err
	case kind == leantls.Data:
		above.receive(data)
	case kind == leantls.UpdateRequested:
		t.c.mu.Lock()
		t.st.AnswerUpdate()
		t.c.mu.Unlock()
	case kind == leantls.Closed:
		t.c.peerClosed()
	}
	return nil
}

// stash keeps bytes that cannot be opened now: part of a record, or everything that
// arrived after a pause.
func (t *leanTLS) stash(p []byte) {
	if len(p) == 0 || t.c.closed() || t.st.PeerClosed() {
		return
	}
	t.in = t.c.buffer()
	t.off = 0
	_, _ = t.in.Write(p)
	if !t.c.paused {
		t.c.recordBegun()
	}
}

// resume opens the bytes kept during a pause. Loop.
func (t *leanTLS) resume(above receiver) error {
	defer t.account()
	in := t.in
	if in == nil {
		return nil
	}
	t.in = nil
	t.c.stall = 0
	n, err := t.openRecords(in.B[t.off:], above)
	rest := in.B[int(t.off)+n:]
	switch {
	case err != nil:
		inputPool.Put(in)
		return t.fail(err)
	case len(rest) == 0 || t.st.PeerClosed():
		inputPool.Put(in)
	case t.c.paused:
		t.in = in
		t.off += uint32(n)
	default:
		in.B = append(in.B[:0], rest...)
		t.in, t.off = in, 0
		t.c.recordBegun()
	}
	return nil
}

// fail ends the session because of an error in the peer's data: it seals an alert as the
// last record and then wipes the secrets.
func (t *leanTLS) fail(err error) error {
	var wrong *leantls.Error
	if errors.As(err, &wrong) {
		t.sealAlert(wrong.Alert)
	}
	t.wipe()
	return err
}

func (t *leanTLS) sealAlert(alert leantls.Alert) {
	c := t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || !t.st.CanSeal() {
		return
	}
	queued := c.queued()
	c.append(nil)
	c.out.B = t.st.End(t.keys().tx, c.out.B, alert)
	c.grew(queued)
}

func (t *leanTLS) wipe() {
	t.c.mu.Lock()
	t.st.Wipe()
	t.c.mu.Unlock()
	t.awake.Store(nil)
}

// seal seals p into the outbox. Sealing and queueing are one step under the connection's
// lock, so that the order on the wire is that of the sequence numbers. The outbox is
// either sent completely or dropped with the connection. Under mu.
func (t *leanTLS) seal(m message) error {
	if !t.st.CanSeal() {
		return ErrClosed
	}
	if m.len() == 0 {
		return nil
	}
	k := t.keys()
	queued := t.c.queued()
	t.c.append(nil)
	var err error
	t.c.out.B, k.tx, err = t.st.SealWith(k.tx, t.c.out.B, m.head[:m.n], m.body)
	t.c.grew(queued)
	return err
}

// eof handles the peer's end of the TCP connection, which is improper without a
// close_notify before it. Loop.
func (t *leanTLS) eof() error {
	if t.st.PeerClosed() {
		return nil
	}
	return ErrTruncated
}

// closeWrite seals a close_notify, the last record. Loop.
func (t *leanTLS) closeWrite() { t.sealAlert(leantls.CloseNotify) }

// free wipes the secrets. Loop.
func (t *leanTLS) free() error {
	t.wipe()
	if t.in != nil {
		inputPool.Put(t.in)
		t.in = nil
	}
	return nil
}

func (t *leanTLS) secure() bool                          { return true }
func (t *leanTLS) messages() bool                        { return false }
func (t *leanTLS) rebase(bottom recordLayer) recordLayer { return bottom }

// moveTo forgets the keys, which are in the cache of the previous connection's loop.
func (t *leanTLS) moveTo(c *Conn) recordLayer {
	t.c = c
	t.awake.Store(nil)
	return t
}
