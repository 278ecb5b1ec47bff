package store

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// TestSaltForm: a salt that is made of a form has that form, and follows from the random
// bytes only.
func TestSaltForm(t *testing.T) {
	for _, form := range []SaltForm{0, SaltUUID, 1, 15, 17, 32, 33, uuidSize, 64, MaxSaltSize} {
		made := func(seed byte) []byte {
			return form.Make(func(i int) []byte {
				sum := sha256.Sum256([]byte{seed, byte(i)})
				return sum[:]
			})
		}
		salt := made(0)
		if got := SaltFormOf(salt); got != form {
			t.Errorf("the salt %q of the form %v has the form %v", salt, form, got)
		}
		if !bytes.Equal(made(0), salt) || bytes.Equal(made(1), salt) {
			t.Errorf("%v: the salt does not follow from the random bytes", form)
		}
		if n := len(salt); n >= 64 && bytes.Equal(salt[:32], salt[32:64]) {
			t.Errorf("%v: the salt repeats itself", form)
		}
	}
	for salt, want := range map[string]SaltForm{
		"2f1cd35a-5b9e-4c0b-9a52-0c3f2b1de8a4": SaltUUID,
		"2F1CD35A-5B9E-4C0B-9A52-0C3F2B1DE8A4": 36, // of another server
		"2f1cd35a05b9e04c0b09a5200c3f2b1de8a4": 36,
		"2f1cd35a-5b9e-4c0b-9a52-0c3f2b1de8-4": 36,
		"2f1cd35a-5b9e-4c0b-9a52-0c3f2b1de8ag": 36,
		"2f1cd35a-5b9e-4c":                     0,
	} {
		if got := SaltFormOf([]byte(salt)); got != want {
			t.Errorf("%s has the form %v, want %v", salt, got, want)
		}
	}
	// RFC 9562 section 5.4: the version is 4, the variant 10.
	if got := string(SaltUUID.Make(func(int) []byte { return bytes.Repeat([]byte{0xff}, 32) })); got != "ffffffff-ffff-4fff-bfff-ffffffffffff" {
		t.Error(got)
	}
}
