package leantls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is one of the cipher suites of RFC 8446 appendix B.4.
type suite uint8

const (
	aes128 suite = iota + 1
	aes256
	chacha20
)

// suiteOf is the suite with this registered number, 0 if it is none of ours.
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

func (s suite) known() bool { return s >= aes128 && s <= chacha20 }

// secretLen is the length of a traffic secret: that of the suite's hash.
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

const nonceLen = 12

// labels are the HkdfLabel structures of RFC 8446 section 7.1 for what is
// derived from a traffic secret: length, label, no context.
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

// expand is HKDF-Expand-Label without a context.
func (s suite) expand(secret []byte, label string, n int) []byte {
	var h func() hash.Hash = sha256.New
	if s == aes256 {
		h = sha512.New384
	}
	out, err := hkdf.Expand(h, secret, label, n)
	if err != nil {
		panic("leantls: BUG: HKDF: " + err.Error()) // the lengths are constants
	}
	return out
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

// Keys are a direction's keys, ready for use: some 2 KB with AES. They are made
// from the State when it wakes, may be kept as long as it is busy, and know
// which of its keys they are.
type Keys struct {
	of    *half
	gen   uint32
	aead  cipher.AEAD
	iv    [nonceLen]byte
	nonce [nonceLen]byte // scratch
}

func (h *half) keys() *Keys {
	secret := h.secret[:h.suite.secretLen()]
	key := h.suite.expand(secret, h.suite.labels().key, h.suite.keyLen())
	iv := h.suite.expand(secret, h.suite.labels().iv, nonceLen)
	k := &Keys{of: h, gen: h.gen, aead: h.suite.aead(key)}
	copy(k.iv[:], iv)
	clear(key)
	clear(iv)
	return k
}

// fit reports whether these are the keys of this direction and its current
// secret.
func (k *Keys) fit(h *half) bool { return k != nil && k.of == h && k.gen == h.gen && h.suite != 0 }

// ReadKeys are the keys for Open: old if they still fit, else new ones; nil
// when nothing is to be opened any more.
func (s *State) ReadKeys(old *Keys) *Keys { return s.read.current(old) }

// WriteKeys are the keys for Seal, likewise.
func (s *State) WriteKeys(old *Keys) *Keys { return s.write.current(old) }

func (h *half) current(old *Keys) *Keys {
	switch {
	case h.suite == 0:
		return nil
	case old.fit(h):
		return old
	}
	return h.keys()
}

// at is the nonce of a record, RFC 8446 section 5.3: the sequence number,
// "padded to the left with zeros to iv_length", XORed with the IV.
func (k *Keys) at(seq uint64) []byte {
	copy(k.nonce[:4], k.iv[:4])
	binary.BigEndian.PutUint64(k.nonce[4:], binary.BigEndian.Uint64(k.iv[4:])^seq)
	return k.nonce[:]
}
