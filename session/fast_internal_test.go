package session

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"roost/jid"
	"roost/store"
	"roost/store/memstore"
)

const phoneID = "d4565fa7-4d72-4749-b3d3-740edbf87770"

// fastServer is a Manager with one account, whose tokens are in memory.
func fastServer(t *testing.T) (*Manager, store.Store) {
	t.Helper()
	st, err := memstore.New().Open(t.Context(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return fastServerOn(t, st, nil), st
}

func fastServerOn(t *testing.T, st store.Store, log *slog.Logger) *Manager {
	t.Helper()
	c, err := store.NewCredentials("secret", store.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.CreateAccount(t.Context(), store.Account{JID: jid.MustParse("romeo@localhost"), Credentials: c}); err != nil {
		t.Fatal(err)
	}
	m := NewManager(Config{Domains: []string{"localhost"}, AllowPlaintext: true, Workers: 1, KeyWorkers: 1, FailureDelay: -1,
		Accounts: st, Tokens: st, Logger: log})
	t.Cleanup(m.Close)
	return m
}

// bound returns a session on a channel with these bindings, whose client has an id.
func bound(m *Manager, b channelBindings) *Session {
	s := m.New(NoConn{})
	s.jid = jid.MustParse("localhost").Compact()
	n := s.negotiation()
	n.binding, n.login = b, &loginRequest{agent: phoneID, fast: &fastRequest{uses: true}}
	return s
}

// issue stores a token for a mechanism and returns its text.
func issue(t *testing.T, m *Manager, agent, mechanism string) string {
	t.Helper()
	account := jid.MustParse("romeo@localhost")
	a, err := m.config().Accounts.Account(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	s := bound(m, allBindings)
	l := &loginRequest{agent: agent, keys: keysID(&a.Credentials), fast: &fastRequest{mechanism: mechanism}}
	change := s.tokenChange(l)
	if change == nil {
		t.Fatalf("no token for %s", mechanism)
	}
	if err := m.config().Tokens.UpdateBlobs(t.Context(), store.BlobSet{Owner: account, Kind: tokenKind}, change.apply); err != nil {
		t.Fatal(err)
	}
	return m.tokenKey(account.String(), agent, change.issue)
}

var allBindings = channelBindings{
	exporter: scram.ChannelBinding{Type: "tls-exporter", Data: []byte("exported")},
	unique:   scram.ChannelBinding{Type: "tls-unique", Data: []byte("unique")},
	endpoint: scram.ChannelBinding{Type: "tls-server-end-point", Data: []byte("hash")},
}

// TestHTMechanisms: a token is valid for its own mechanism only, and each mechanism for its
// own channel only. XEP-0484: "Servers MUST bind tokens to the mechanism selected by the
// client in its original request, and reject attempts to use them with other mechanisms"
// (https://xmpp.org/extensions/xep-0484.html#fast-auth).
func TestHTMechanisms(t *testing.T) {
	m, _ := fastServer(t)
	data := map[string]string{"HT-SHA-256-EXPR": "exported", "HT-SHA-256-UNIQ": "unique", "HT-SHA-256-ENDP": "hash", "HT-SHA-256-NONE": ""}
	other := channelBindings{
		exporter: scram.ChannelBinding{Type: "tls-exporter", Data: []byte("EXPORTED")},
		unique:   scram.ChannelBinding{Type: "tls-unique", Data: []byte("UNIQUE")},
		endpoint: scram.ChannelBinding{Type: "tls-server-end-point", Data: []byte("HASH")},
	}
	for issued := range data {
		token := issue(t, m, phoneID, issued)
		for used, binding := range data {
			for i, channel := range []channelBindings{allBindings, other, {}} {
				s := bound(m, channel)
				mech := s.mechanism(used, true)
				if offered := i < 2 || binding == ""; (mech != nil) != offered {
					t.Errorf("%s on channel %d: offered %v", used, i, mech != nil)
				}
				if mech == nil {
					continue
				}
				answer, done, err := mech.start(s).step([]byte("romeo\x00" + string(htHash(token, "Initiator", []byte(binding)))))
				if want := issued == used && (i == 0 || binding == ""); done != want {
					t.Errorf("a token for %s, used by %s on channel %d: %v, %v", issued, used, i, done, err)
				} else if done && string(answer) != string(htHash(token, "Responder", []byte(binding))) {
					t.Errorf("%s: the server has not proved that it knows the token", used)
				}
			}
		}
	}
}

// TestWideHash: a client that encodes its hash as a string, byte by byte, gets the response
// in the same encoding.
func TestWideHash(t *testing.T) {
	m, _ := fastServer(t)
	for range 10 {
		token := issue(t, m, phoneID, "HT-SHA-256-NONE")
		s := bound(m, channelBindings{})
		message := "romeo\x00" + string(widenLatin1(htHash(token, "Initiator", nil)))
		answer, done, err := s.mechanism("HT-SHA-256-NONE", true).start(s).step([]byte(message))
		if got, ok := narrowLatin1(string(answer)); !done || !ok || got != string(htHash(token, "Responder", nil)) {
			t.Errorf("%v, %v: %q", done, err, answer)
		}
	}
}

// TestTokenTimes: a token is replaced when it is a day old, and expires.
func TestTokenTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := fastServer(t)
		token := issue(t, m, phoneID, "HT-SHA-256-NONE")
		use := func() (*Session, error) {
			s := bound(m, channelBindings{})
			_, _, err := s.mechanism("HT-SHA-256-NONE", true).start(s).step([]byte("romeo\x00" + string(htHash(token, "Initiator", nil))))
			return s, err
		}
		renewed := func() bool {
			s, err := use()
			if err != nil {
				t.Fatal(err)
			}
			c := s.tokenChange(s.negotiation().login)
			return c != nil && c.issue != nil && c.issue.Mechanism == "HT-SHA-256-NONE"
		}
		time.Sleep(m.tokenRenewal() - time.Second)
		if renewed() {
			t.Error("replaced before its time")
		}
		time.Sleep(time.Second)
		if !renewed() {
			t.Error("not replaced after a day")
		}
		time.Sleep(m.config().TokenLife - m.tokenRenewal() - time.Second)
		if _, err := use(); err != nil {
			t.Errorf("before it expires: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := use(); err != saslCredentialsExpired {
			t.Errorf("after it has expired: %v", err)
		}
	})
}

// TestReplayedAtOnce: two logins with the same count, of which both have passed the check
// when the first changes the store, do not both succeed.
func TestReplayedAtOnce(t *testing.T) {
	m, st := fastServer(t)
	token := issue(t, m, phoneID, "HT-SHA-256-NONE")
	var changes []*tokenChange
	for range 2 {
		s := bound(m, channelBindings{})
		l := s.negotiation().login
		l.fast.counted, l.fast.count = true, 1
		if _, done, err := s.mechanism("HT-SHA-256-NONE", true).start(s).step([]byte("romeo\x00" + string(htHash(token, "Initiator", nil)))); !done {
			t.Fatal(err)
		}
		changes = append(changes, s.tokenChange(l))
	}
	set := store.BlobSet{Owner: jid.MustParse("romeo@localhost"), Kind: tokenKind}
	first := st.UpdateBlobs(t.Context(), set, changes[0].apply)
	second := st.UpdateBlobs(t.Context(), set, changes[1].apply)
	if first != nil || second == nil || !strings.Contains(second.Error(), errReplayed.Error()) {
		t.Errorf("%v, then %v", first, second)
	}
}

// TestListAndRevoke: a client is listed while it can log in by a token.
func TestListAndRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, st := fastServer(t)
		account := jid.MustParse("romeo@localhost")
		list := func(want ...string) {
			t.Helper()
			a, err := st.Account(t.Context(), account)
			if err != nil {
				t.Fatal(err)
			}
			all, err := ListTokens(t.Context(), st, &a)
			var got []string
			for _, c := range all {
				got = append(got, c.ID[:1]+" "+c.Mechanism)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q, want %q: %v", got, want, err)
			}
		}
		revoke := func(id string, want int) {
			t.Helper()
			if n, err := RevokeTokens(t.Context(), st, account, id); n != want || err != nil {
				t.Errorf("%d revoked, want %d: %v", n, want, err)
			}
		}
		list()
		other := "A" + phoneID[1:]
		issue(t, m, other, "HT-SHA-256-NONE")
		issue(t, m, phoneID, "HT-SHA-256-NONE")
		issue(t, m, phoneID, "HT-SHA-256-EXPR")
		list("a HT-SHA-256-NONE", "d HT-SHA-256-EXPR")
		revoke("b"+phoneID[1:], 0)
		revoke(other, 1)
		list("d HT-SHA-256-EXPR")
		time.Sleep(m.config().TokenLife - time.Second)
		list("d HT-SHA-256-EXPR")
		time.Sleep(time.Second)
		list()
		revoke("", 1)
		revoke("", 0)
		if n, err := RevokeTokens(t.Context(), st, jid.MustParse("nobody@localhost"), ""); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		issue(t, m, phoneID, "HT-SHA-256-NONE")
		c, err := store.NewCredentials("secret", store.MinIterations)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.SetCredentials(t.Context(), account, store.AnyEvent, c, true); err != nil {
			t.Fatal(err)
		}
		list()
	})
}

// TestTokenLife: its change applies at once: to new tokens, and, where it is turned off, to
// all.
func TestTokenLife(t *testing.T) {
	m, _ := fastServer(t)
	set := func(life time.Duration) {
		cfg := m.config().Config
		cfg.TokenLife = life
		m.SetConfig(cfg)
	}
	change := func() *tokenChange {
		return bound(m, channelBindings{}).tokenChange(&loginRequest{agent: phoneID, fast: &fastRequest{mechanism: "HT-SHA-256-NONE"}})
	}
	set(2 * time.Hour)
	if c := change(); c.issue.Expiry-c.issue.Issued != 7200 || m.tokenRenewal() != 30*time.Minute {
		t.Errorf("%+v, renewed after %v", c.issue, m.tokenRenewal())
	}
	set(-1)
	s := bound(m, channelBindings{})
	if c := change(); c != nil || s.mechanism("HT-SHA-256-NONE", true) != nil || strings.Contains(string(s.appendInline(nil)), nsFAST) {
		t.Errorf("offered where it is off: %+v", c)
	}
}

// TestTokenClients: the number of clients with tokens is limited; the one whose last login
// is the oldest loses its token.
func TestTokenClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, st := fastServer(t)
		id := func(i int) string { return fmt.Sprintf("%08d-4d72-4749-b3d3-740edbf87770", i) }
		for i := range maxTokenClients + 3 {
			issue(t, m, id(i), "HT-SHA-256-NONE")
			time.Sleep(time.Second)
		}
		keys, err := st.BlobKeys(t.Context(), jid.MustParse("romeo@localhost"), tokenKind)
		if err != nil || len(keys) != maxTokenClients || keys[0] != id(3) {
			t.Errorf("%d clients, the first is %s: %v", len(keys), keys[0], err)
		}
	})
}

// decoyAccounts counts how often the shapes of credentials are read, which a decoy begins with.
type decoyAccounts struct {
	store.Store
	shapes int
}

func (a *decoyAccounts) Shapes(ctx context.Context) (map[store.Shape]int, error) {
	a.shapes++
	return a.Store.Shapes(ctx)
}

// TestTokenWithoutDecoy: a login by token computes no credentials in place of those of a name
// without an account, neither for such a name nor for another. One by password does.
func TestTokenWithoutDecoy(t *testing.T) {
	m, st := fastServer(t)
	a := &decoyAccounts{Store: st}
	cfg := m.config().Config
	cfg.Accounts = a
	m.settings.Store(newSettings(cfg))
	token := issue(t, m, phoneID, "HT-SHA-256-NONE")
	for _, user := range []string{"romeo", "nobody"} {
		s := bound(m, allBindings)
		_, done, err := s.mechanism("HT-SHA-256-NONE", true).start(s).step([]byte(user + "\x00" + string(htHash(token, "Initiator", nil))))
		if want := user == "romeo"; done != want || (err == nil) != want {
			t.Errorf("%s: %v, %v", user, done, err)
		}
	}
	if a.shapes != 0 {
		t.Error("a login by token computes a decoy")
	}
	if _, err := (&lookup{s: bound(m, allBindings)}).find("romeo"); err != nil || a.shapes != 1 {
		t.Errorf("a login by password has read the shapes %d times: %v", a.shapes, err)
	}
}
