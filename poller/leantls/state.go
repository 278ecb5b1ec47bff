// Package leantls is the record layer of TLS 1.3 (RFC 8446 section 5) for a
// server whose sessions are idle nearly always. A handshake by crypto/tls goes
// before it; what stays of the session then is a State, 128 bytes without a
// pointer, and the keys are made of it when the session wakes.
//
// The package has no sockets and no goroutines: bytes go in, bytes come out.
//
// # Ownership
//
// A State has two halves. What Open and ReadKeys use belongs to whoever reads
// the connection; what the other methods use, to whoever holds the lock under
// which records are queued for sending. A State stays where it is: a copy would
// use the same nonces again.
package leantls

import (
	"encoding/binary"
	"errors"
	"math"
)

// State is what stays of a TLS 1.3 session: the traffic secrets and sequence
// numbers of both directions. The zero value is a session that has ended.
type State struct {
	_     noCopy
	read  half
	write half
}

// maxSecret is the size of the longest traffic secret, in bytes.
const maxSecret = 48

// half is one direction.
type half struct {
	secret  [maxSecret]byte // the current application traffic secret
	seq     uint64          // the number of the next record
	gen     uint32          // which key this is, counted from the first
	suite   suite           // none: nothing is sealed or opened any more
	partial uint8           // read: bytes that are there of a KeyUpdate
	useless uint8           // read: records without data, one after another
	updates uint8           // read: KeyUpdates lately; write: one must be answered
}

// noCopy makes vet complain about copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// ErrClosed is the answer of a session that has ended.
var ErrClosed = errors.New("leantls: the session has ended")

// start begins with a secret, in a generation that was not there before: keys of
// an earlier session in the same place do not fit.
func (h *half) start(s suite, secret []byte, seq uint64) {
	if h.suite != 0 {
		h.zeroize()
	}
	*h = half{suite: s, seq: seq, gen: h.gen}
	copy(h.secret[:], secret)
}

// zeroize forgets the direction's secret and makes its keys invalid.
func (h *half) zeroize() {
	gen := h.gen + 1
	*h = half{gen: gen}
}

// nextSecret switches to the next traffic secret (RFC 8446 section 7.2). The sequence
// number starts again with the new key, and only then.
func (h *half) nextSecret() error {
	if h.gen == math.MaxUint32 {
		return errWrapped
	}
	n := h.suite.secretLen()
	var fresh [maxSecret]byte
	h.suite.expand(fresh[:n], h.secret[:n], h.suite.labels().update)
	h.secret = fresh
	h.seq = 0
	h.gen++
	return nil
}

// Wipe forgets all secrets. Nothing is sealed or opened any more. The caller
// owns both halves.
func (s *State) Wipe() {
	s.read.zeroize()
	s.write.zeroize()
}

// closedByPeer in half.partial of a reading half that has ended says that it
// ended properly.
const closedByPeer = 0xff

// PeerClosed reports whether the peer sent close_notify. The caller owns the
// reading half.
func (s *State) PeerClosed() bool { return s.read.partial == closedByPeer }

// CanSeal reports whether the session may still send. The caller owns the
// writing half.
func (s *State) CanSeal() bool { return s.write.suite != 0 }

// handOverLen is the length of what HandOver appends.
const handOverLen = 1 + 2*(maxSecret+8+4)

// HandOver appends the session to dst, for the one process that goes on with
// it, and forgets it here: a session has one owner, so a second call and
// everything else answers ErrClosed. The caller owns both halves, wipes dst
// after use, and has no bytes of a record that is not whole.
func (s *State) HandOver(dst []byte) ([]byte, error) {
	if s.read.suite == 0 || s.write.suite == 0 {
		return dst, ErrClosed
	}
	dst = append(dst, byte(s.read.suite))
	for _, h := range []*half{&s.read, &s.write} {
		dst = append(dst, h.secret[:]...)
		dst = binary.BigEndian.AppendUint64(dst, h.seq)
		dst = append(dst, h.partial, h.useless, h.updates, 0)
	}
	s.Wipe()
	return dst, nil
}

// TakeOver makes s the session that HandOver appended to p.
func (s *State) TakeOver(p []byte) error {
	if len(p) != handOverLen || !suite(p[0]).known() || s.read.suite != 0 || s.write.suite != 0 {
		return errors.New("leantls: this is not a session, or there is one already")
	}
	use := suite(p[0])
	p = p[1:]
	if p[maxSecret+8] > uint8(len(keyUpdate)) {
		return errors.New("leantls: this is not a session")
	}
	for _, h := range []*half{&s.read, &s.write} {
		h.start(use, p[:maxSecret], binary.BigEndian.Uint64(p[maxSecret:]))
		h.partial, h.useless, h.updates = p[maxSecret+8], p[maxSecret+9], p[maxSecret+10]
		p = p[maxSecret+12:]
	}
	return nil
}
