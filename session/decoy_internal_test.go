package session

import (
	"bytes"
	"context"
	"strconv"
	"testing"

	"roost/store"
)

// shapedAccounts is an Accounts whose accounts have credentials of these shapes.
type shapedAccounts struct {
	oneAccount
	shapes map[store.Shape]int
}

func (a shapedAccounts) Shapes(context.Context) (map[store.Shape]int, error) { return a.shapes, nil }

// TestDecoyShapes: names without an account get credentials of the shapes that accounts
// have, in proportion: keys for the same hash functions, a salt for all of them or one each.
// They have no keys that a password could match.
func TestDecoyShapes(t *testing.T) {
	old := store.Shape{Iterations: [store.NumHashes]int{5000, 5000}, SharedSalt: true}
	both := store.Shape{Iterations: [store.NumHashes]int{5000, 6000}}
	one := store.Shape{Iterations: [store.NumHashes]int{4096, 0}}
	m := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, Secret: []byte("secret"), Iterations: 7000,
		Accounts: shapedAccounts{shapes: map[store.Shape]int{old: 1, both: 1, one: 1, {}: 1000}}})
	defer m.Close()
	const names = 300
	seen := make(map[store.Shape]int)
	salts := make(map[string]bool)
	for i := range names {
		name := "nobody" + strconv.Itoa(i) + "@localhost"
		c, again := m.decoys.credentials(name), m.decoys.credentials(name)
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		if c.Verify("secret") {
			t.Fatal("a password is right")
		}
		shape := c.Shape()
		seen[shape]++
		for h := range store.NumHashes {
			if !bytes.Equal(c[h].Salt, again[h].Salt) || c[h].Iterations != again[h].Iterations {
				t.Errorf("%s: the keys for %s differ each time", name, h.Mechanism())
			}
			salt := string(c[h].Salt)
			if h > 0 && (shape.SharedSalt || len(salt) == 0) {
				continue
			}
			if salts[salt] {
				t.Errorf("the salt of %s for %s is not its own", name, h.Mechanism())
			}
			salts[salt] = true
		}
		// Keys that are missing, and those that take their place when they are added.
		missing := m.decoys.missing(name, &c, store.SHA256)
		if shape == one {
			if len(missing.Salt) != store.SaltSize || missing.Iterations != 7000 || salts[string(missing.Salt)] {
				t.Errorf("%s, missing keys: %+v", name, missing)
			}
			c[store.SHA256] = missing
			if again := m.decoys.missing(name, &c, store.SHA256); !bytes.Equal(again.Salt, missing.Salt) {
				t.Error("the salt of missing keys depends on the salt itself")
			}
			c[store.SHA1].Salt = []byte("that of a new password")
			if other := m.decoys.missing(name, &c, store.SHA256); bytes.Equal(other.Salt, missing.Salt) {
				t.Error("the salt of missing keys is the same for another password")
			}
		}
	}
	for _, shape := range []store.Shape{old, both, one} {
		if n := seen[shape]; n < names/6 || n > names/2 {
			t.Errorf("%d of %d names have the shape %v, want about a third", n, names, shape)
		}
	}
	if len(seen) != 3 {
		t.Errorf("shapes: %v", seen)
	}
}
