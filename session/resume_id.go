package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
)

// A resumption ID (the SM-ID of XEP-0198) is the number of the session, which is unique within
// the epoch, and a MAC over it and the account. The epoch is a random value that selects the
// key; it is new when the server starts, unless it makes sessions of an earlier process again
// (see Restore): then it goes on with that one's epoch and numbers. The client has authenticated before it
// presents the ID, so the session is found among those of its account: there is no table.

const (
	resumeMAC  = 12
	resumeSize = 4 + resumeMAC
)

// appendResumeID appends the ID of a session of an account.
func (m *Manager) appendResumeID(dst []byte, account string, number uint32) []byte {
	var id [resumeSize]byte
	binary.BigEndian.PutUint32(id[:], number)
	copy(id[4:], m.resumeMAC(account, number))
	return base64.RawURLEncoding.AppendEncode(dst, id[:])
}

// newResumeKey returns the key of resumption IDs. It is secret although the epoch is in the
// store.
func (m *Manager) newResumeKey() []byte {
	return subkey(m.config().Secret, "resumption "+string(m.resumeEpoch))
}

func (m *Manager) resumeMAC(account string, number uint32) []byte {
	h := hmac.New(sha256.New, m.resumeKey)
	h.Write(binary.BigEndian.AppendUint32(nil, number))
	h.Write([]byte(account))
	return h.Sum(nil)[:resumeMAC]
}

// readResumeID returns the number of the session of the account that has the ID.
func (m *Manager) readResumeID(id []byte, account string) (number uint32, ok bool) {
	var b [resumeSize]byte
	if len(id) != base64.RawURLEncoding.EncodedLen(resumeSize) {
		return 0, false
	}
	if n, err := base64.RawURLEncoding.Decode(b[:], id); err != nil || n != resumeSize {
		return 0, false
	}
	number = binary.BigEndian.Uint32(b[:])
	return number, hmac.Equal(b[4:], m.resumeMAC(account, number))
}

// resumable returns the session of the account that has this number, nil if there is none.
func (m *Manager) resumable(account string, number uint32) *Session {
	for s := m.First(account); s != nil; s = s.Next() {
		if x := s.cold.Load(); x != nil && s.has(flagManaged) {
			x.mu.Lock()
			found := x.number == number
			x.mu.Unlock()
			if found {
				return s
			}
		}
	}
	return nil
}

// pastSessions has the numbers of stanzas that were handled of sessions that have ended
// lately: "If the server recognizes the 'previd' as an earlier session that has timed out the
// server MAY also include a 'h' attribute"
// (https://xmpp.org/extensions/xep-0198.html#resumption). Its size is limited.
type pastSessions struct {
	mu   sync.Mutex
	all  map[uint32]uint32 // handled stanzas, by the session's number
	ring []uint32          // the numbers, in a ring
	at   int
}

// maxPast is how many ended sessions are remembered; each takes about 30 bytes.
const maxPast = 20_000

func (p *pastSessions) add(number, handled uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = make(map[uint32]uint32)
	}
	if _, known := p.all[number]; known {
		return
	}
	p.all[number] = handled
	if len(p.ring) < maxPast {
		p.ring = append(p.ring, number)
		return
	}
	delete(p.all, p.ring[p.at])
	p.ring[p.at] = number
	p.at = (p.at + 1) % maxPast
}

func (p *pastSessions) get(number uint32) (handled uint32, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	handled, known = p.all[number]
	return handled, known
}
