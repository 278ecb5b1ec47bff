// Package leantls is the record layer of TLS 1.3 (RFC 8446 section 5,
// https://www.rfc-editor.org/rfc/rfc8446#section-5) for servers with mostly idle
// sessions. It takes over after a handshake by crypto/tls. An idle session is a State:
// 128 bytes without pointers, from which the keys are derived when the session becomes
// busy.
//
// The package uses neither sockets nor goroutines: it transforms bytes to bytes.
//
// # Ownership
//
// A State has two halves. The half that Open and ReadKeys use belongs to the goroutine
// that reads the connection; the half that the other methods use is guarded by the lock
// under which records are queued for sending. A State must not be copied: a copy would
// use the same nonces again.
package leantls

import (
	"errors"
	"math"
)

// State is a TLS 1.3 session: the traffic secrets and sequence numbers of both
// directions. The zero value is a session that has ended.
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
	gen     uint32          // the number of the current key, counted from the first
	suite   suite           // 0: this direction has ended
	partial uint8           // read: received bytes of an incomplete KeyUpdate
	useless uint8           // read: records without data in a row
	updates uint8           // read: recent KeyUpdates; write: 1 if a KeyUpdate must be sent
}

// noCopy makes vet complain about copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// ErrClosed is returned for a session that has ended.
var ErrClosed = errors.New("leantls: the session has ended")

// start sets the secret, with a new generation number, so that keys of an earlier session
// in the same State do not match.
func (h *half) start(s suite, secret []byte, seq uint64) {
	if h.suite != 0 {
		h.zeroize()
	}
	*h = half{suite: s, seq: seq, gen: h.gen}
	copy(h.secret[:], secret)
}

// zeroize erases the direction's secret and invalidates its keys.
func (h *half) zeroize() {
	gen := h.gen + 1
	*h = half{gen: gen}
}

// nextSecret switches to the next traffic secret (RFC 8446 section 7.2,
// https://www.rfc-editor.org/rfc/rfc8446#section-7.2). The sequence number restarts with
// each new key, and only then.
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

// Wipe erases all secrets and ends both directions. The caller must own both halves.
func (s *State) Wipe() {
	s.read.zeroize()
	s.write.zeroize()
}

// closedByPeer is the value of partial in a reading half that has ended properly.
const closedByPeer = 0xff

// PeerClosed reports whether the peer has sent close_notify. The caller must own the
// reading half.
func (s *State) PeerClosed() bool { return s.read.partial == closedByPeer }

// CanSeal reports whether the session may still send. The caller must own the writing
// half.
func (s *State) CanSeal() bool { return s.write.suite != 0 }
