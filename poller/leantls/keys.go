package leantls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is one of the cipher suites of RFC 8446 appendix B.4
// (https://www.rfc-editor.org/rfc/rfc8446#appendix-B.4).
type suite uint8

const (
	aes128 suite = iota + 1
	aes256
	chacha20
)

// suiteOf returns the suite with this registered number, 0 if it is not supported.
func suiteOf(id uint16) suite {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256:
		return aes128
	case tls.TLS_AES_256_GCM_SHA384:
		return aes256
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		return chacha20
	}
	return 0
}

// secretLen returns the length of a traffic secret, which is that of the suite's hash.
func (s suite) secretLen() int {
	if s == aes256 {
		return sha512.Size384
	}
	return sha256.Size
}

func (s suite) keyLen() int {
	if s == aes128 {
		return 16
	}
	return 32
}

const (
	nonceLen = 12
	maxKey   = 32
	maxLabel = 22 // the longest of the labels below
)

// labels are the HkdfLabel structures of RFC 8446 section 7.1
// (https://www.rfc-editor.org/rfc/rfc8446#section-7.1) for the values derived from a
// traffic secret: length, label, empty context.
type labels struct{ key, iv, update string }

var (
	labels128 = labels{"\x00\x10\x09tls13 key\x00", "\x00\x0c\x08tls13 iv\x00", "\x00\x20\x11tls13 traffic upd\x00"}
	labels256 = labels{"\x00\x20\x09tls13 key\x00", "\x00\x0c\x08tls13 iv\x00", "\x00\x20\x11tls13 traffic upd\x00"}
	labels384 = labels{"\x00\x20\x09tls13 key\x00", "\x00\x0c\x08tls13 iv\x00", "\x00\x30\x11tls13 traffic upd\x00"}
)

func (s suite) labels() *labels {
	switch s {
	case aes128:
		return &labels128
	case aes256:
		return &labels384
	}
	return &labels256
}

// expand is HKDF-Expand-Label with an empty context. It fills out, which is not longer
// than the hash, so one HMAC over the label and a byte 1 is enough (RFC 5869 section
// 2.3). It does not use crypto/hkdf, which allocates 20 objects and takes three times as
// long, because a session calls it each time it becomes busy.
func (s suite) expand(out, secret []byte, label string) {
	if s == aes256 {
		var sum [sha512.Size384]byte
		var inner [sha512.BlockSize + maxLabel + 1]byte
		var outer [sha512.BlockSize + sha512.Size384]byte
		pad(inner[:sha512.BlockSize], outer[:sha512.BlockSize], secret)
		n := sha512.BlockSize + copy(inner[sha512.BlockSize:], label)
		inner[n] = 1
		sum = sha512.Sum384(inner[:n+1])
		copy(outer[sha512.BlockSize:], sum[:])
		sum = sha512.Sum384(outer[:])
		copy(out, sum[:])
		return
	}
	var sum [sha256.Size]byte
	var inner [sha256.BlockSize + maxLabel + 1]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	pad(inner[:sha256.BlockSize], outer[:sha256.BlockSize], secret)
	n := sha256.BlockSize + copy(inner[sha256.BlockSize:], label)
	inner[n] = 1
	sum = sha256.Sum256(inner[:n+1])
	copy(outer[sha256.BlockSize:], sum[:])
	sum = sha256.Sum256(outer[:])
	copy(out, sum[:])
}

// pad fills the first blocks of the two hashes of an HMAC (RFC 2104 section 2).
func pad(inner, outer, secret []byte) {
	n := copy(inner, secret)
	copy(outer, secret)
	for i := range inner[:n] {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	for i := n; i < len(inner); i++ {
		inner[i], outer[i] = 0x36, 0x5c
	}
}

func (s suite) aead(key []byte) cipher.AEAD {
	var aead cipher.AEAD
	var err error
	if s == chacha20 {
		aead, err = chacha20poly1305.New(key)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(key); err == nil {
			aead, err = cipher.NewGCM(block)
		}
	}
	if err != nil {
		panic("leantls: BUG: AEAD: " + err.Error()) // the lengths are constants
	}
	return aead
}

// Keys are one direction's expanded keys, about 2 KB with AES. They are derived from the
// State when the session becomes busy, may be kept as long as it is busy, and record to
// which generation of its keys they belong.
type Keys struct {
	half  *half
	gen   uint32
	aead  cipher.AEAD
	iv    [nonceLen]byte
	nonce [nonceLen]byte // scratch
}

func (h *half) keys() *Keys {
	secret := h.secret[:h.suite.secretLen()]
	var buf [maxKey]byte
	key := buf[:h.suite.keyLen()]
	h.suite.expand(key, secret, h.suite.labels().key)
	k := &Keys{half: h, gen: h.gen, aead: h.suite.aead(key)}
	h.suite.expand(k.iv[:], secret, h.suite.labels().iv)
	clear(key)
	return k
}

// matches reports whether k was derived from this direction's current secret.
func (k *Keys) matches(h *half) bool {
	return k != nil && k.half == h && k.gen == h.gen && h.suite != 0
}

// ReadKeys returns the keys for Open: old if they are still current, otherwise new ones;
// nil if the reading half has ended.
func (s *State) ReadKeys(old *Keys) *Keys { return s.read.current(old) }

// current returns the half's keys: old if they are still current, otherwise new ones; nil if
// the half has ended.
func (h *half) current(old *Keys) *Keys {
	switch {
	case h.suite == 0:
		return nil
	case old.matches(h):
		return old
	}
	return h.keys()
}

// nonceFor returns the nonce of a record (RFC 8446 section 5.3,
// https://www.rfc-editor.org/rfc/rfc8446#section-5.3): the sequence number, "padded to
// the left with zeros to iv_length", XORed with the IV.
func (k *Keys) nonceFor(seq uint64) []byte {
	copy(k.nonce[:4], k.iv[:4])
	binary.BigEndian.PutUint64(k.nonce[4:], binary.BigEndian.Uint64(k.iv[4:])^seq)
	return k.nonce[:]
}
