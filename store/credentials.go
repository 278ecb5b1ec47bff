package store

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/xdg-go/scram"
)

// Iterations of the key derivation (PBKDF2) of SCRAM.
const (
	// DefaultIterations is what new credentials take when nothing is said. The
	// client pays for them at each login too, and the clients here are small
	// devices, often thousands of them at once: more would buy time only
	// against somebody who has stolen the database, and long passwords buy it
	// cheaper.
	DefaultIterations = 10000
	// MinIterations is the least that RFC 7677 section 4 allows.
	MinIterations = 4096
	// MaxIterations bounds what one login may cost.
	MaxIterations = 10_000_000
)

// MaxPassword is the length of the longest password, in bytes: no client could log in using
// PLAIN with a longer one (RFC 4616 section 2,
// https://www.rfc-editor.org/rfc/rfc4616#section-2).
const MaxPassword = 1023

// saltSize is the size of a random salt in bytes.
const saltSize = 16

// ErrPassword means that a password is empty or has characters that SASLprep
// (RFC 4013) prohibits.
var ErrPassword = errors.New("the password is empty or has characters that are not allowed in passwords")

// Keys are what the server keeps for one hash function (RFC 5802 section 3).
type Keys struct {
	StoredKey []byte
	ServerKey []byte
}

// Credentials are what the server keeps of a password: it can be checked
// against them, but not be computed from them.
type Credentials struct {
	Salt       []byte // the account's own, random; the same for both hash functions
	Iterations int
	SHA1       Keys // for SCRAM-SHA-1
	SHA256     Keys // for SCRAM-SHA-256, and for Verify
}

// NewCredentials derives credentials with a new random salt. 0 iterations mean
// DefaultIterations. The password is prepared by SASLprep; ErrPassword when that
// refuses it.
func NewCredentials(password string, iterations int) (Credentials, error) {
	if iterations == 0 {
		iterations = DefaultIterations
	}
	if iterations < MinIterations || iterations > MaxIterations {
		return Credentials{}, fmt.Errorf("store: %d iterations: the range is %d to %d", iterations, MinIterations, MaxIterations)
	}
	c := Credentials{Salt: make([]byte, saltSize), Iterations: iterations}
	if _, err := rand.Read(c.Salt); err != nil {
		return Credentials{}, fmt.Errorf("store: salt: %w", err)
	}
	var err error
	if c.SHA1, err = c.derive(scram.SHA1, password); err != nil {
		return Credentials{}, err
	}
	if c.SHA256, err = c.derive(scram.SHA256, password); err != nil {
		return Credentials{}, err
	}
	return c, nil
}

// derive computes the keys of one hash function.
func (c *Credentials) derive(hash scram.HashGeneratorFcn, password string) (Keys, error) {
	if password == "" {
		return Keys{}, ErrPassword
	}
	// The user name plays no part in the keys.
	client, err := hash.NewClient("", password, "")
	if err != nil {
		return Keys{}, ErrPassword
	}
	got, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(c.Salt), Iters: c.Iterations})
	if err != nil {
		return Keys{}, fmt.Errorf("store: derive keys: %w", err)
	}
	return Keys{StoredKey: got.StoredKey, ServerKey: got.ServerKey}, nil
}

// Verify reports whether this is the password, in a time that does not depend
// on how much of it is right. It costs the key derivation: milliseconds of CPU.
func (c *Credentials) Verify(password string) bool {
	if len(c.Salt) == 0 || c.Iterations <= 0 {
		return false
	}
	got, err := c.derive(scram.SHA256, password)
	return err == nil && subtle.ConstantTimeCompare(got.StoredKey, c.SHA256.StoredKey) == 1
}
