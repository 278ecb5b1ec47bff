package store

import (
	"bytes"
	"crypto/pbkdf2"
	"encoding/base64"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
)

func TestCredentials(t *testing.T) {
	const password = "pencil"
	c, err := NewCredentials(password, MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Verify(password) {
		t.Error("the password is rejected")
	}
	for _, wrong := range []string{"", "Pencil", "pencil ", "penci", strings.Repeat("pencil", 1000), "\x00", "\xff"} {
		if c.Verify(wrong) {
			t.Errorf("%q is accepted as the password", wrong)
		}
	}
	other, err := NewCredentials(password, MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(c[SHA1].Salt, other[SHA1].Salt) || bytes.Equal(c[SHA1].Salt, c[SHA256].Salt) || bytes.Equal(c[SHA256].StoredKey, other[SHA256].StoredKey) {
		t.Error("two accounts with the same password have equal salts or keys")
	}
	if (&Credentials{}).Verify("") || (&Credentials{}).Verify("x") {
		t.Error("empty credentials accept a password")
	}
}

// TestCredentialsCheck: what NewCredentials makes is valid, and anything of another size is
// not.
func TestCredentialsCheck(t *testing.T) {
	good, err := NewCredentials("pencil", MinIterations)
	if err == nil {
		err = good.Check()
	}
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Credentials){
		"the salt for SCRAM-SHA-1 has 256 bytes":    func(c *Credentials) { c[SHA1].Salt = make([]byte, MaxSaltSize+1) },
		"the salt for SCRAM-SHA-256 has 0 bytes":    func(c *Credentials) { c[SHA256].Salt = nil },
		"the iteration count 4095 for SCRAM-SHA-1 ": func(c *Credentials) { c[SHA1].Iterations-- },
		"the iteration count 10000001":              func(c *Credentials) { c[SHA256].Iterations = MaxIterations + 1 },
		"SCRAM-SHA-1 must have 20":                  func(c *Credentials) { c[SHA1].StoredKey = make([]byte, 32) },
		"SHA-1 must have 20 bytes":                  func(c *Credentials) { c[SHA1].ServerKey = nil },
		"SCRAM-SHA-256 must have 32":                func(c *Credentials) { c[SHA256].StoredKey = make([]byte, 20) },
		"SHA-256 must have 32 bytes":                func(c *Credentials) { c[SHA256].ServerKey = nil },
		"there are no keys":                         func(c *Credentials) { *c = Credentials{} },
	} {
		c := good
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestCredentialsVector checks the keys using the example of RFC 7677 section 3, and the
// server's messages in it.
func TestCredentialsVector(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	k, err := DeriveKeys(SHA256, "pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(k.Salt), Iters: k.Iterations},
			StoredKey:  k.StoredKey, ServerKey: k.ServerKey,
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	conv := server.WithNonceGenerator(func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" }).NewConversation()
	first, err := conv.Step("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
	if err != nil || first != "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" {
		t.Fatalf("%q, %v", first, err)
	}
	final, err := conv.Step("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if err != nil || final != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("%q, %v", final, err)
	}
}

// TestMissingKeys: credentials with the keys of one hash function are valid, and suffice to
// check a password. Missing ones are added, and no others.
func TestMissingKeys(t *testing.T) {
	all, err := NewCredentials("pencil", MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewCredentials("other", MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	if all.Hashes() != AllHashes || (&Credentials{}).Hashes() != 0 || AllHashes.Strongest() != SHA256 {
		t.Errorf("hashes %b of %b, the strongest %v", all.Hashes(), AllHashes, AllHashes.Strongest())
	}
	for h := range NumHashes {
		var c Credentials
		c[h] = all[h]
		if err := c.Check(); err != nil || c.Hashes() != SetOf(h) || c.Hashes().Strongest() != h {
			t.Errorf("%s: %v, hashes %b, the strongest %v", h.Mechanism(), err, c.Hashes(), c.Hashes().Strongest())
		}
		if !c.Verify("pencil") || c.Verify("other") {
			t.Errorf("%s: the right password is refused, or a wrong one accepted", h.Mechanism())
		}
		want := other
		want[h] = all[h]
		if c.Add(&other); !reflect.DeepEqual(c, want) {
			t.Errorf("%s: with the other keys: %+v, want %+v", h.Mechanism(), c, want)
		}
		if c.Add(&all); !reflect.DeepEqual(c, want) {
			t.Errorf("%s: keys were replaced: %+v, want %+v", h.Mechanism(), c, want)
		}
	}
}

// TestSaltedKeys: what a client derives leads to the same keys as the password.
func TestSaltedKeys(t *testing.T) {
	all, err := NewCredentials("pencil", MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	for h := range NumHashes {
		k := all[h]
		salted, err := pbkdf2.Key(h.New, "pencil", k.Salt, k.Iterations, h.Size())
		if err != nil {
			t.Fatal(err)
		}
		if got := SaltedKeys(h, salted, k.Salt, k.Iterations); !reflect.DeepEqual(got, k) {
			t.Errorf("%s: %+v, want %+v", h.Mechanism(), got, k)
		}
	}
}

// TestPasswordPreparation: passwords are prepared using SASLprep (RFC 5802 section 2.2), so
// that different ways to type a password are equivalent. The error for one that cannot be prepared
// says why. Bug: a password of soft hyphens was one that is empty, with which a client could log in.
func TestPasswordPreparation(t *testing.T) {
	c, err := NewCredentials("I\u00adX\u00a0\u00aa", MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Verify("IX a") {
		t.Error("a password that is equal after SASLprep is rejected")
	}
	for _, good := range []string{" ", "\u263a\ufe0f", "\u0627\u0031\u0628", "\u0627", "\u00e9"} {
		c, err := NewCredentials(good, MinIterations)
		if err != nil || CheckPassword(good) != nil || !c.Verify(good) {
			t.Errorf("NewCredentials(%q): %v", good, err)
		}
	}
	for bad, want := range map[string]error{
		"": errEmpty, "\u00ad\u200b": errEmpty,
		"a\xffb":       errNotUTF8,
		"a\U0001f511b": errNewer, "\u1e9e": errNewer, "\u0221": errNewer,
		"a\x07b": errProhibited, "\ue000": errProhibited, "\ufffd": errProhibited, "\u200e": errProhibited, "\u0627\u202e": errProhibited,
		"\u0627\u0031": errDirection, "\u0031\u0627": errDirection, "\u0627a\u0627": errDirection,
	} {
		_, err := NewCredentials(bad, MinIterations)
		if err != want || CheckPassword(bad) != want || c.Verify(bad) {
			t.Errorf("NewCredentials(%q): %v, want %v", bad, err, want)
		}
	}
}

// TestOtherPasswords: an account that was moved here may have a password that no account can get here.
// The keys are those that Prosody 0.12.3 has stored. Bug: the password was refused as wrong.
func TestOtherPasswords(t *testing.T) {
	const password = "key\U0001f511"
	decode := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	c := Credentials{SHA1: {
		Salt: []byte("c235a297-55e2-4035-96bc-bd392264a80f"), Iterations: 10000,
		StoredKey: decode("8b26cb9fc2629acea85c4feb5687bc098973bd99"), ServerKey: decode("82c2a22d05606c630bd456b82e389260ddf01d29"),
	}}
	if !c.Verify(password) || c.Verify("key\U0001f512") || CheckPassword(password) != errNewer {
		t.Error("the password is not right, or another one is")
	}
	// A login adds the keys that the account lacks.
	if k, err := DeriveKeys(SHA256, password, []byte("salt"), MinIterations); err != nil || k.check(SHA256) != nil {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestIterations(t *testing.T) {
	for _, n := range []int{-1, 1, MinIterations - 1, MaxIterations + 1} {
		if _, err := NewCredentials("x", n); err == nil || strings.Contains(err.Error(), "\"x\"") {
			t.Errorf("NewCredentials with %d iterations: %v", n, err)
		}
	}
	c, err := NewCredentials("x", 0)
	for h := range NumHashes {
		if err != nil || c[h].Iterations != DefaultIterations {
			t.Errorf("%d iterations by default, %v", c[h].Iterations, err)
		}
	}
}

func BenchmarkNewCredentials(b *testing.B) {
	for _, n := range []int{4096, 10000} {
		b.Run(map[int]string{4096: "iterations=4096", 10000: "iterations=10000"}[n], func(b *testing.B) {
			for b.Loop() {
				NewCredentials("correct horse battery staple", n)
			}
		})
	}
}
