package store

import (
	"encoding/hex"
	"fmt"
)

const (
	// SaltSize is the size of new salts in bytes.
	SaltSize = 16
	// MaxSaltSize is the size of the longest salt that is accepted, in bytes. RFC 5802
	// has no limit.
	MaxSaltSize = 255
)

// SaltForm is what salts have in common that were made in the same way: what a salt shows
// about the server that has made it. The zero value stands for SaltSize random bytes, and a
// positive one is a number of random bytes, at most MaxSaltSize.
type SaltForm int16

// SaltUUID is the form of salts that are the text of a UUID in lower case, such as those of
// Prosody.
const SaltUUID SaltForm = -1

// uuidSize is the size of the text of a UUID.
const uuidSize = 36

// SaltFormOf returns the form of a salt of 1 to MaxSaltSize bytes.
func SaltFormOf(salt []byte) SaltForm {
	switch {
	case len(salt) == SaltSize:
		return 0
	case isUUID(salt):
		return SaltUUID
	}
	return SaltForm(len(salt))
}

// Make returns a salt of this form that follows from block, which returns the parts of a
// sequence of random bytes: 16 bytes or more, always the same for a number.
func (f SaltForm) Make(block func(i int) []byte) []byte {
	if f == SaltUUID {
		return makeUUID(block(0))
	}
	size := int(f)
	if f == 0 {
		size = SaltSize
	}
	salt := make([]byte, 0, size)
	for i := 0; len(salt) < size; i++ {
		b := block(i)
		salt = append(salt, b[:min(len(b), size-len(salt))]...)
	}
	return salt
}

// String returns the form as text.
func (f SaltForm) String() string {
	switch f {
	case 0:
		return fmt.Sprint(SaltSize)
	case SaltUUID:
		return "UUID"
	}
	return fmt.Sprint(int(f))
}

// isDash reports whether the text of a UUID has a hyphen at i.
func isDash(i int) bool { return i == 8 || i == 13 || i == 18 || i == 23 }

func isUUID(b []byte) bool {
	if len(b) != uuidSize {
		return false
	}
	for i, c := range b {
		if isDash(i) != (c == '-') || c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// makeUUID returns the text of a UUID of version 4 (https://www.rfc-editor.org/rfc/rfc9562#section-5.4)
// with these 16 random bytes; others are ignored.
func makeUUID(random []byte) []byte {
	raw := [16]byte(random)
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	digits := hex.AppendEncode(nil, raw[:])
	text := make([]byte, 0, uuidSize)
	for len(text) < uuidSize {
		if isDash(len(text)) {
			text = append(text, '-')
		}
		text, digits = append(text, digits[0]), digits[1:]
	}
	return text
}
