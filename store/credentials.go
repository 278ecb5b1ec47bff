package store

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/xdg-go/scram"
)

// Iterations of the key derivation (PBKDF2) of SCRAM.
const (
	// DefaultIterations is the default for new credentials. The client pays the same
	// price at each login, and clients are often small devices, thousands of them at
	// once. More iterations would only slow down an attacker who has stolen the
	// database, and longer passwords do that at a lower price.
	DefaultIterations = 10000
	// MinIterations is the minimum according to RFC 7677 section 4.
	MinIterations = 4096
	// MaxIterations limits the CPU time of a login.
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

// Keys are the keys that the server stores for one hash function (RFC 5802 section 3).
type Keys struct {
	StoredKey []byte
	ServerKey []byte
}

// Credentials are what the server stores of a password. They suffice to check a
// password, but not to compute it.
type Credentials struct {
	Salt       []byte // random, for this account only; the same for both hash functions
	Iterations int
	SHA1       Keys // for SCRAM-SHA-1
	SHA256     Keys // for SCRAM-SHA-256, and for Verify
}

// NewCredentials derives credentials from a password with a new random salt. 0 iterations
// means DefaultIterations. It prepares the password using SASLprep, and returns
// ErrPassword if that rejects it.
func NewCredentials(password string, iterations int) (Credentials, error) {
	if iterations == 0 {
		iterations = DefaultIterations
	}
	if iterations < MinIterations || iterations > MaxIterations {
		return Credentials{}, fmt.Errorf("store: iteration count %d is out of range: use %d to %d", iterations, MinIterations, MaxIterations)
	}
	c := Credentials{Salt: make([]byte, saltSize), Iterations: iterations}
	if _, err := rand.Read(c.Salt); err != nil {
		return Credentials{}, fmt.Errorf("store: generate salt: %w", err)
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
	// The keys do not depend on the user name.
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

// Check returns an error unless NewCredentials could have made these. Others may not work,
// and a salt of another size would show that the account exists: names without an account
// have salts of this size, too.
func (c *Credentials) Check() error {
	switch {
	case len(c.Salt) != saltSize:
		return fmt.Errorf("the salt has %d bytes, not %d", len(c.Salt), saltSize)
	case c.Iterations < MinIterations || c.Iterations > MaxIterations:
		return fmt.Errorf("the iteration count %d is out of range: use %d to %d", c.Iterations, MinIterations, MaxIterations)
	case len(c.SHA1.StoredKey) != sha1.Size || len(c.SHA1.ServerKey) != sha1.Size:
		return fmt.Errorf("the keys for SCRAM-SHA-1 must have %d bytes", sha1.Size)
	case len(c.SHA256.StoredKey) != sha256.Size || len(c.SHA256.ServerKey) != sha256.Size:
		return fmt.Errorf("the keys for SCRAM-SHA-256 must have %d bytes", sha256.Size)
	}
	return nil
}

// Verify reports whether the password is right, in a time that does not depend on how
// much of it matches. It derives a key, which takes milliseconds of CPU time.
func (c *Credentials) Verify(password string) bool {
	if len(c.Salt) == 0 || c.Iterations <= 0 {
		return false
	}
	got, err := c.derive(scram.SHA256, password)
	return err == nil && subtle.ConstantTimeCompare(got.StoredKey, c.SHA256.StoredKey) == 1
}
