package session

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"roost/jid"
	"roost/store"
)

// shapedAccounts is an Accounts whose accounts have credentials of these shapes.
type shapedAccounts struct {
	oneAccount
	shapes map[store.Shape]int
	err    error
}

func (a shapedAccounts) Shapes(context.Context) (map[store.Shape]int, error) { return a.shapes, a.err }

// TestDecoyShapes: names without an account get credentials of the shapes that accounts
// have, in proportion: keys for the same hash functions, a salt for all of them or one each,
// of the same form.
// They have no keys that a password could match.
func TestDecoyShapes(t *testing.T) {
	old := store.Shape{Iterations: [store.NumHashes]int{5000, 5000}, SharedSalt: true}
	both := store.Shape{Iterations: [store.NumHashes]int{5000, 6000}}
	one := store.Shape{Iterations: [store.NumHashes]int{4096, 0}}
	moved := store.Shape{Iterations: [store.NumHashes]int{4096, 0}, Salts: [store.NumHashes]store.SaltForm{store.SaltUUID, 0}}
	long := store.Shape{Iterations: [store.NumHashes]int{4096, 4096}, Salts: [store.NumHashes]store.SaltForm{store.MaxSaltSize, 24}}
	m := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, Secret: []byte("secret"), Iterations: 7000,
		Accounts: shapedAccounts{shapes: map[store.Shape]int{old: 1, both: 1, one: 1, moved: 1, long: 1, {}: 1000}}})
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
		if shape == one || shape == moved {
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
	for _, shape := range []store.Shape{old, both, one, moved, long} {
		if n := seen[shape]; n < names/8 || n > names/3 {
			t.Errorf("%d of %d names have the shape %v, want about a fifth", n, names, shape)
		}
	}
	if len(seen) != 5 {
		t.Errorf("shapes: %v", seen)
	}
}

// TestDecoyShapesAfterError: if the shapes cannot be read at the first login, names without an account
// do not differ from others until the next hour: they are read again soon.
func TestDecoyShapesAfterError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shape := store.Shape{Iterations: [store.NumHashes]int{5000, 6000}}
		accounts := &shapedAccounts{shapes: map[store.Shape]int{shape: 1}, err: errors.New("the connection is lost")}
		m := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, Secret: []byte("secret"), Accounts: accounts})
		defer m.Close()
		m.decoys.credentials("nobody@localhost")
		accounts.err = nil
		time.Sleep(time.Minute)
		m.decoys.credentials("nobody@localhost") // has them read
		synctest.Wait()
		c := m.decoys.credentials("nobody@localhost")
		if got := c.Shape(); got != shape {
			t.Errorf("a minute later, a name without an account has keys of the shape %v, want %v", got, shape)
		}
	})
}

// TestTokenAndMissingKeys: a token stays valid when its account gets the keys that it lacked,
// whichever these are, and ends with a new password. A client that logs in by it has no task
// to add them: it would make a password of a token.
func TestTokenAndMissingKeys(t *testing.T) {
	for h := range store.NumHashes {
		m, st := fastServer(t)
		romeo := jid.MustParse("romeo@localhost")
		a, err := st.Account(t.Context(), romeo)
		if err != nil {
			t.Fatal(err)
		}
		var one store.Credentials
		one[h] = a.Credentials[h]
		if _, err := st.SetCredentials(t.Context(), romeo, store.AnyEvent, one, false); err != nil {
			t.Fatal(err)
		}
		token := issue(t, m, phoneID, "HT-SHA-256-NONE")
		use := func() (*Session, bool) {
			t.Helper()
			s := bound(m, channelBindings{})
			n := s.negotiation()
			n.mech = s.mechanism("HT-SHA-256-NONE", true)
			n.sasl = n.mech.start(s)
			_, done, _ := n.sasl.step([]byte("romeo\x00" + string(htHash(token, "Initiator", nil))))
			n.login.upgrades = store.AllHashes
			return s, done
		}
		s, done := use()
		if !done {
			t.Errorf("%s: the token is not valid", h.Mechanism())
		}
		turn := newTurn(m, 0)
		if s.beginUpgrade(turn, outcome{}) {
			t.Errorf("%s: a client with a token has a task", h.Mechanism())
		}
		if s.negotiation().mech = s.mechanism("PLAIN", false); !s.beginUpgrade(turn, outcome{}) {
			t.Errorf("%s: a client without a token has no task", h.Mechanism())
		}
		if err := st.AddKeys(t.Context(), romeo, store.AnyEvent, a.Credentials); err != nil {
			t.Fatal(err)
		}
		if _, done := use(); !done {
			t.Errorf("%s: the token has ended with the keys that were added", h.Mechanism())
		}
		other, err := store.NewCredentials("secret", store.MinIterations)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.SetCredentials(t.Context(), romeo, store.AnyEvent, other, false); err != nil {
			t.Fatal(err)
		}
		if _, done := use(); done {
			t.Errorf("%s: the token is valid after a change of the password", h.Mechanism())
		}
	}
}
