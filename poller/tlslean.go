//go:build linux

package poller

import (
	"errors"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"

	"roost/poller/leantls"
)

// leanTLS is TLS 1.3 after its handshake: the session's state, and while it is
// busy or in the middle of a record a little more. The reading half of the state
// is the loop's, the writing half is under the connection's lock.
type leanTLS struct {
	c     *Conn
	in    *bytebufferpool.ByteBuffer // loop: a record that is not whole, or what came before a pause; nil: nothing
	awake atomic.Pointer[leanKeys]   // kept while busy, see keyCache
	off   uint32                     // loop: what of in was used
	st    leantls.State
}

// leanKeys are a busy session's keys.
type leanKeys struct {
	rx   *leantls.Keys // loop
	tx   *leantls.Keys // under the connection's lock
	used atomic.Bool   // since the cache looked last
}

// keys are the session's keys. Loop, or under the connection's lock.
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

// open opens the records of the socket's bytes. Loop.
func (t *leanTLS) open(p []byte, above receiver) error {
	err := t.openAll(p, above)
	t.account()
	return err
}

// account says what is held for a peer that has not authenticated. Loop.
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

// fill completes the header or the rest of the record that is kept, with n bytes
// of p, and opens it when it is whole.
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

// openRecords opens the whole records that p begins with, in place, until the
// handler pauses, and answers how many bytes they were.
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

// openRecord opens one whole record.
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

// stash keeps what could not be opened now: part of a record, or all that
// came after a pause.
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

// resume opens what was kept before a pause. Loop.
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

// fail ends the session for an error in what the peer sent: the alert is the
// last thing that is sealed, and then no secret is there any more.
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
	c.append(nil)
	c.out.B = t.st.End(t.keys().tx, c.out.B, alert)
}

func (t *leanTLS) wipe() {
	t.c.mu.Lock()
	t.st.Wipe()
	t.c.mu.Unlock()
	t.awake.Store(nil)
}

// seal seals p into the outbox: one step under the connection's lock, so
// that the order on the wire is that of the sequence numbers. The outbox is
// either sent or dropped with the connection. Under mu.
func (t *leanTLS) seal(p []byte) error {
	if !t.st.CanSeal() {
		return ErrClosed
	}
	if len(p) == 0 {
		return nil
	}
	k := t.keys()
	t.c.append(nil)
	var err error
	t.c.out.B, k.tx, err = t.st.Seal(k.tx, t.c.out.B, p)
	return err
}

// eof is told that the peer closed TCP: without a close_notify before it the
// end is not a proper one. Loop.
func (t *leanTLS) eof() error {
	if t.st.PeerClosed() {
		return nil
	}
	return ErrTruncated
}

// closeWrite seals a close_notify, the last record. Loop.
func (t *leanTLS) closeWrite() { t.sealAlert(leantls.CloseNotify) }

// free forgets the secrets. Loop.
func (t *leanTLS) free() error {
	t.wipe()
	if t.in != nil {
		inputPool.Put(t.in)
		t.in = nil
	}
	return nil
}

func (t *leanTLS) secure() bool                          { return true }
func (t *leanTLS) rebase(bottom recordLayer) recordLayer { return bottom }
