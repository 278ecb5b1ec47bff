package store

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
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

// PasswordError says why a password cannot be used. It is the rest of a sentence that begins with
// "the password", and contains no part of the password.
type PasswordError string

func (e PasswordError) Error() string { return "the password " + string(e) }

// The reasons. SASLprep ([RFC 4013 section 2]) knows the characters of Unicode 3.2, of 2002.
//
// [RFC 4013 section 2]: https://www.rfc-editor.org/rfc/rfc4013#section-2
const (
	errEmpty      PasswordError = "is empty"
	errNotUTF8    PasswordError = "is not in UTF-8"
	errNewer      PasswordError = "has an emoji or another character that is too new: passwords can only have characters of Unicode 3.2 (RFC 4013)"
	errProhibited PasswordError = "has a control character, or another one that passwords cannot have (RFC 4013)"
	errDirection  PasswordError = "has letters that are written from right to left, and does not begin and end with one, or also has letters that are written from left to right (RFC 4013)"
)

// Hash is a hash function of SCRAM that accounts may have keys for. Those with a larger
// number are stronger.
type Hash uint8

// The hash functions.
const (
	SHA1      Hash = iota // SCRAM-SHA-1 (RFC 5802)
	SHA256                // SCRAM-SHA-256 (RFC 7677)
	NumHashes             // their number
)

var hashes = [NumHashes]struct {
	mechanism string
	size      int
	scram     scram.HashGeneratorFcn
}{
	SHA1:   {"SCRAM-SHA-1", sha1.Size, scram.SHA1},
	SHA256: {"SCRAM-SHA-256", sha256.Size, scram.SHA256},
}

// Mechanism returns the name of the SASL mechanism without channel binding.
func (h Hash) Mechanism() string { return hashes[h].mechanism }

// ParseHash returns the hash function of a SASL mechanism, whose name may be in lower case.
func ParseHash(mechanism string) (Hash, error) {
	for h := range NumHashes {
		if strings.EqualFold(h.Mechanism(), mechanism) {
			return h, nil
		}
	}
	return 0, fmt.Errorf("%q is not a mechanism with keys: use %s or %s", mechanism, SHA256.Mechanism(), SHA1.Mechanism())
}

// Size returns the size of the hash and of each key, in bytes.
func (h Hash) Size() int { return hashes[h].size }

// New returns a new hash.
func (h Hash) New() hash.Hash { return hashes[h].scram() }

// HashSet is a set of hash functions.
type HashSet uint8

// AllHashes is the set of all hash functions.
const AllHashes = HashSet(1<<NumHashes - 1)

// SetOf returns the set of these.
func SetOf(all ...Hash) (set HashSet) {
	for _, h := range all {
		set |= 1 << h
	}
	return set
}

// Has reports whether the set contains h.
func (set HashSet) Has(h Hash) bool { return set&(1<<h) != 0 }

// Keys are what the server stores of a password for one hash function ([RFC 5802 section
// 3]). The zero value means that there is nothing.
//
// [RFC 5802 section 3]: https://www.rfc-editor.org/rfc/rfc5802#section-3
type Keys struct {
	Salt       []byte // random, for this account only, of 1 to MaxSaltSize bytes
	Iterations int    // of the key derivation
	StoredKey  []byte
	ServerKey  []byte
}

// Credentials are what the server stores of a password, by hash function. They suffice to
// check a password, but not to compute it. An account has keys for at least one of them:
// one whose password is only known by its keys may lack the others.
type Credentials [NumHashes]Keys

// NewCredentials derives keys for all hash functions from a new password, with new random
// salts. 0 iterations means DefaultIterations. It prepares the password using SASLprep, and
// returns a PasswordError if that rejects it.
func NewCredentials(password string, iterations int) (Credentials, error) {
	if err := CheckPassword(password); err != nil {
		return Credentials{}, err
	}
	return MovedCredentials(password, iterations)
}

// MovedCredentials is NewCredentials for the password of an account that moves here from another
// server. It accepts more passwords, see presented.
func MovedCredentials(password string, iterations int) (c Credentials, err error) {
	if iterations == 0 {
		iterations = DefaultIterations
	}
	if iterations < MinIterations || iterations > MaxIterations {
		return c, fmt.Errorf("store: iteration count %d is out of range: use %d to %d", iterations, MinIterations, MaxIterations)
	}
	for h := range NumHashes {
		salt := make([]byte, SaltSize)
		if _, err := rand.Read(salt); err != nil {
			return Credentials{}, fmt.Errorf("store: generate salt: %w", err)
		}
		if c[h], err = DeriveKeys(h, password, salt, iterations); err != nil {
			return Credentials{}, err
		}
	}
	return c, nil
}

// DeriveKeys derives the keys for one hash function, which takes milliseconds of CPU time. It
// keeps salt. It accepts more passwords than NewCredentials, see presented; for others, it returns
// a PasswordError.
func DeriveKeys(h Hash, password string, salt []byte, iterations int) (Keys, error) {
	prepared, err := prepare(presented, password)
	if err != nil {
		return Keys{}, err
	}
	// The keys do not depend on the user name.
	client, err := hashes[h].scram.NewClientUnprepped("", prepared, "")
	if err != nil {
		return Keys{}, fmt.Errorf("store: derive keys: %w", err)
	}
	got, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return Keys{}, fmt.Errorf("store: derive keys: %w", err)
	}
	return Keys{Salt: salt, Iterations: iterations, StoredKey: got.StoredKey, ServerKey: got.ServerKey}, nil
}

// CheckPassword returns a PasswordError unless a password can be that of an account.
func CheckPassword(password string) error {
	_, err := prepare(stringprep.SASLprep, password)
	return err
}

// presented is SASLprep for passwords with which clients log in. [RFC 4616 section 2]: they "are to
// be treated as "query" strings […] and hence unassigned code points are allowed to appear in their
// prepared output." Accounts of other servers may have such passwords.
//
// [RFC 4616 section 2]: https://www.rfc-editor.org/rfc/rfc4616#section-2
var presented = stringprep.Profile{
	Mappings: stringprep.SASLprep.Mappings, Normalize: true, CheckBiDi: true,
	Prohibits: []stringprep.Set{
		stringprep.TableC1_2, stringprep.TableC2_1, stringprep.TableC2_2, stringprep.TableC3, stringprep.TableC4,
		stringprep.TableC5, stringprep.TableC6, stringprep.TableC7, stringprep.TableC8, stringprep.TableC9,
	},
}

// prepare prepares a password, or returns a PasswordError. [RFC 4616 section 2]: "if preparation fails
// or results in an empty string, verification SHALL fail."
//
// [RFC 4616 section 2]: https://www.rfc-editor.org/rfc/rfc4616#section-2
func prepare(p stringprep.Profile, password string) (string, error) {
	if !utf8.ValidString(password) {
		return "", errNotUTF8
	}
	prepared, err := p.Prepare(password)
	var e stringprep.Error
	switch {
	case err == nil && prepared != "":
		return prepared, nil
	case err == nil:
		return "", errEmpty // or of characters that are mapped to nothing, such as soft hyphens
	case !errors.As(err, &e):
		return "", errProhibited
	case stringprep.TableA1.Contains(e.Rune): // not assigned in Unicode 3.2
		return "", errNewer
	case slices.ContainsFunc(p.Prohibits, func(s stringprep.Set) bool { return s.Contains(e.Rune) }):
		return "", errProhibited
	}
	return "", errDirection
}

// SaltedKeys returns the keys that follow from SaltedPassword, the result of the derivation
// ([RFC 5802 section 3]), which has the size of the hash. It keeps salt.
//
// [RFC 5802 section 3]: https://www.rfc-editor.org/rfc/rfc5802#section-3
func SaltedKeys(h Hash, salted, salt []byte, iterations int) Keys {
	mac := func(text string) []byte {
		m := hmac.New(h.New, salted)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := h.New()
	stored.Write(mac("Client Key"))
	return Keys{Salt: salt, Iterations: iterations, StoredKey: stored.Sum(nil), ServerKey: mac("Server Key")}
}

// Hashes returns the hash functions that there are keys for.
func (c *Credentials) Hashes() (set HashSet) {
	for h := range NumHashes {
		if len(c[h].StoredKey) > 0 {
			set |= SetOf(h)
		}
	}
	return set
}

// Add adds the keys of other for the hash functions that c has none for.
func (c *Credentials) Add(other *Credentials) {
	has := c.Hashes()
	for h := range NumHashes {
		if !has.Has(h) && len(other[h].StoredKey) > 0 {
			c[h] = other[h]
		}
	}
}

// Shape returns the part of the credentials that a client learns when it begins to log in,
// without knowing the password.
func (c *Credentials) Shape() (s Shape) {
	for h := range NumHashes {
		if len(c[h].StoredKey) > 0 {
			s.Iterations[h], s.Salts[h] = c[h].Iterations, SaltFormOf(c[h].Salt)
		}
	}
	s.SharedSalt = len(c[SHA1].Salt) > 0 && string(c[SHA1].Salt) == string(c[SHA256].Salt)
	return s
}

// Shape is the part of an account's credentials that a client learns when it begins to log in,
// without knowing the password.
type Shape struct {
	Iterations [NumHashes]int // 0: there are no keys
	Salts      [NumHashes]SaltForm
	SharedSalt bool // all have the same salt, as in accounts that an older version has created
}

// String returns the shape as text.
func (s Shape) String() string {
	text := fmt.Sprint(s.Iterations)
	if s.SharedSalt {
		text += " shared"
	}
	if s.Salts != [NumHashes]SaltForm{} {
		text += fmt.Sprint(" salts ", s.Salts)
	}
	return text
}

// Check returns an error unless the credentials have keys for at least one hash function,
// and these are as NewCredentials makes them, except that their salts may have other sizes.
func (c *Credentials) Check() error {
	for h := range NumHashes {
		if err := c[h].check(h); err != nil {
			return err
		}
	}
	if c.Hashes() == 0 {
		return fmt.Errorf("there are no keys: those of at least one of %s and %s are needed", SHA256.Mechanism(), SHA1.Mechanism())
	}
	return nil
}

func (k *Keys) check(h Hash) error {
	switch {
	case len(k.Salt) == 0 && k.Iterations == 0 && len(k.StoredKey) == 0 && len(k.ServerKey) == 0:
		return nil
	case len(k.Salt) < 1 || len(k.Salt) > MaxSaltSize:
		return fmt.Errorf("the salt for %s has %d bytes: it must have 1 to %d", h.Mechanism(), len(k.Salt), MaxSaltSize)
	case k.Iterations < MinIterations || k.Iterations > MaxIterations:
		return fmt.Errorf("the iteration count %d for %s is out of range: use %d to %d", k.Iterations, h.Mechanism(), MinIterations, MaxIterations)
	case len(k.StoredKey) != h.Size() || len(k.ServerKey) != h.Size():
		return fmt.Errorf("the keys for %s must have %d bytes", h.Mechanism(), h.Size())
	}
	return nil
}

// Strongest returns the strongest hash function of the set. An empty set has none; the
// result is then SHA1.
func (set HashSet) Strongest() Hash {
	for h := NumHashes - 1; h > 0; h-- {
		if set.Has(h) {
			return h
		}
	}
	return SHA1
}

// Verify reports whether the password is right, in a time that does not depend on how
// much of it matches. It derives a key, the strongest that there is, which takes
// milliseconds of CPU time.
func (c *Credentials) Verify(password string) bool {
	h := c.Hashes().Strongest()
	k := &c[h]
	if len(k.Salt) == 0 || k.Iterations <= 0 {
		return false
	}
	got, err := DeriveKeys(h, password, k.Salt, k.Iterations)
	return err == nil && subtle.ConstantTimeCompare(got.StoredKey, k.StoredKey) == 1
}
