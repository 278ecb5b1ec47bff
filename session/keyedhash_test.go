package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
)

// TestKeyedHash: the hash is that of the parts as one text, whatever was hashed before, and by several
// goroutines at once.
func TestKeyedHash(t *testing.T) {
	key := []byte("a key")
	k := &keyedHash{key: key}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, parts := range [][]string{{"one"}, {"o", "", "ne"}, nil, {strings.Repeat("long ", 1000), "two"}, {"one"}} {
				h := hmac.New(sha256.New, key)
				h.Write([]byte(strings.Join(parts, "")))
				if got := k.sum(parts...); !hmac.Equal(got[:], h.Sum(nil)) {
					t.Errorf("%.20q: %x, want %x", parts, got, h.Sum(nil))
				}
			}
		})
	}
	all.Wait()
}

// TestSubkey: each purpose has a key of its own, and each secret.
func TestSubkey(t *testing.T) {
	seen := make(map[[sha256.Size]byte]bool)
	for _, secret := range []string{"a secret", "another"} {
		for _, purpose := range []string{"tokens", "resources"} {
			seen[subkey([]byte(secret), purpose).sum("text")] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d different hashes, want 4", len(seen))
	}
}

// TestKeyedHashAllocates: nothing is allocated for a hash. With the race detector, pools drop some of
// what is put back.
func TestKeyedHashAllocates(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector changes pools")
	}
	k := &keyedHash{key: []byte("a key")}
	account := "romeo@example.org"
	if n := testing.AllocsPerRun(1000, func() { k.sum("1234", account) }); n != 0 {
		t.Errorf("%v objects", n)
	}
}
