package session

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"hash/maphash"
	"math/rand/v2"
	"sync"
)

// A resumption ID (the SM-ID of XEP-0198) is the number of the session, which is random, and a
// MAC over it and the account. The client has authenticated before it presents the ID, so the
// session is found among those of its account: there is no table, and the number need not
// differ from those of other accounts. The key follows from the server's secret alone, so an ID
// is valid wherever the session is: after a planned restart, and on another node with the same
// secret.

const (
	resumeMAC  = 12
	resumeSize = 4 + resumeMAC
)

// appendResumeID appends the ID of a session of an account.
func (m *Manager) appendResumeID(dst []byte, account string, number uint32) []byte {
	var id [resumeSize]byte
	binary.BigEndian.PutUint32(id[:], number)
	mac := m.resumeMAC(account, number)
	copy(id[4:], mac[:])
	return base64.RawURLEncoding.AppendEncode(dst, id[:])
}

func (m *Manager) resumeMAC(account string, number uint32) [resumeMAC]byte {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], number)
	sum := m.resumeHash.sum(string(b[:]), account)
	return [resumeMAC]byte(sum[:])
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
	mac := m.resumeMAC(account, number)
	return number, hmac.Equal(b[4:], mac[:])
}

// newNumber returns a number for coldState.number.
func newNumber() uint32 {
	for {
		if n := rand.Uint32(); n != 0 {
			return n
		}
	}
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
	seed maphash.Seed
	mu   sync.Mutex
	all  map[uint64]uint32 // handled stanzas, by the hash of account and number
	ring []uint64          // the hashes, in a ring
	at   int
}

// maxPast is how many ended sessions are remembered; each takes about 40 bytes.
const maxPast = 20_000

// key returns the key of a session. Two of those that are remembered have the same with a
// probability of 1 in 10^11.
func (p *pastSessions) key(account string, number uint32) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	h.WriteString(account)
	h.Write(binary.BigEndian.AppendUint32(nil, number))
	return h.Sum64()
}

func (p *pastSessions) add(account string, number, handled uint32) {
	key := p.key(account, number)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = make(map[uint64]uint32)
	}
	_, known := p.all[key] // it came back from another node, and has ended again
	p.all[key] = handled
	switch {
	case known:
	case len(p.ring) < maxPast:
		p.ring = append(p.ring, key)
	default:
		delete(p.all, p.ring[p.at])
		p.ring[p.at] = key
		p.at = (p.at + 1) % maxPast
	}
}

func (p *pastSessions) get(account string, number uint32) (handled uint32, known bool) {
	key := p.key(account, number)
	p.mu.Lock()
	defer p.mu.Unlock()
	handled, known = p.all[key]
	return handled, known
}
