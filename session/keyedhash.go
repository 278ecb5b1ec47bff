package session

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// keyedHash computes HMAC-SHA-256 (RFC 2104) with one key. It reuses what hmac.New makes, which takes
// several objects, and as much time as a short text. It may be used by several goroutines.
type keyedHash struct {
	key    []byte
	states sync.Pool // of *keyedState
}

type keyedState struct {
	hash hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

// subkey returns the hash whose key is derived from the server's secret for one purpose.
func subkey(secret []byte, purpose string) *keyedHash {
	key, err := hkdf.Key(sha256.New, secret, nil, "roost: "+purpose, sha256.Size)
	if err != nil {
		panic("session: BUG: " + err.Error())
	}
	return &keyedHash{key: key}
}

// sum returns the hash of the parts, one after the other. Nothing separates them.
func (k *keyedHash) sum(parts ...string) [sha256.Size]byte {
	s, _ := k.states.Get().(*keyedState)
	if s == nil {
		s = &keyedState{hash: hmac.New(sha256.New, k.key)}
	}
	defer k.states.Put(s)
	s.text = s.text[:0]
	for _, part := range parts {
		s.text = append(s.text, part...)
	}
	s.hash.Reset()
	s.hash.Write(s.text)
	s.hash.Sum(s.sum[:0])
	return s.sum
}
