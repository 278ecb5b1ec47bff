package session_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xdg-go/scram"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
	"roost/store"
	"roost/store/faultstore"
)

// oldKeys returns the keys of "secret" for one hash function.
func oldKeys(t testing.TB, h store.Hash) (c store.Credentials) {
	t.Helper()
	var err error
	if c[h], err = store.DeriveKeys(h, "secret", []byte("0123456789abcdef"), store.MinIterations); err != nil {
		t.Fatal(err)
	}
	return c
}

// withKeys returns a server on which these accounts have only keys for one hash function.
func withKeys(t testing.TB, h store.Hash, users ...string) xmpptest.Config {
	t.Helper()
	return xmpptest.Config{
		Session: session.Config{Iterations: store.MinIterations},
		Wrap: func(st store.Store) store.Store {
			for _, user := range users {
				if _, err := st.SetCredentials(t.Context(), jid.MustParse(user+"@localhost"), store.AnyEvent, oldKeys(t, h), false); err != nil {
					t.Fatal(err)
				}
			}
			return st
		},
	}
}

// TestUpgradeDialogues: paris has only keys for SCRAM-SHA-1.
func TestUpgradeDialogues(t *testing.T) {
	xmpptest.Run(t, "testdata/upgrade/*.txt", func(string) xmpptest.Config { return withKeys(t, store.SHA1, "paris") })
}

// challenge begins SCRAM, and returns the salt, which has the usual size, and the number of
// iterations that the server sends.
func (c *saslClient) challenge(mechanism, user string) string {
	c.t.Helper()
	salt, iterations := c.beginSCRAM(mechanism, user)
	if len(salt) != store.SaltSize {
		c.t.Fatalf("%s of %s: the salt %x", mechanism, user, salt)
	}
	return fmt.Sprintf("%x %s", salt, iterations)
}

func (c *saslClient) beginSCRAM(mechanism, user string) (salt []byte, iterations string) {
	c.t.Helper()
	name, answer := c.sasl("auth mechanism='"+mechanism+"'", base64.StdEncoding.EncodeToString([]byte("n,,n="+user+",r=nonce")))
	_, after, ok := strings.Cut(answer, ",s=")
	text, after, _ := strings.Cut(after, ",")
	iterations, _, _ = strings.Cut(after, ",")
	salt, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		c.t.Fatalf("%s of %s: %s %q", mechanism, user, name, answer)
	}
	return salt, iterations
}

// TestMissingKeys: if some accounts lack the keys for one mechanism and others those for
// another, all are offered. An account without keys for the mechanism that a client tries
// looks like one that does not exist, or a wrong password, and the client can try another one
// on the same stream. Nobody sees when the keys are added.
func TestMissingKeys(t *testing.T) {
	var calls atomic.Pointer[[]string]
	var st faultstore.Faults
	cfg := withKeys(t, store.SHA1, "paris", "benvolio")
	other, wrap := withKeys(t, store.SHA256, "nurse", "mercutio"), cfg.Wrap
	cfg.Wrap = func(db store.Store) store.Store { return wrap(other.Wrap(db)) }
	cfg.Store = st.Options()
	s := xmpptest.NewServer(t, cfg)
	first := &saslClient{fuzzClient: fuzzClient{t, dial(t, s)}}
	if got := first.ask(openStream, "</stream:features>"); !strings.Contains(got, "<mechanism>SCRAM-SHA-256<") || !strings.Contains(got, "<mechanism>SCRAM-SHA-1<") ||
		!strings.Contains(got, ">UPGR-SCRAM-SHA-256</upgrade>") || !strings.Contains(got, ">UPGR-SCRAM-SHA-1</upgrade>") {
		t.Errorf("not everything is offered: %s", got)
	}
	st.SetFault(func(method string) error {
		if p := calls.Load(); p != nil && method != "MissingKeys" { // that is called now and then
			*p = append(*p, method)
		}
		return nil
	})
	hashes := map[string]scram.HashGeneratorFcn{"SCRAM-SHA-1": scram.SHA1, "SCRAM-SHA-256": scram.SHA256}
	for user, lacks := range map[string]string{"paris": "SCRAM-SHA-256", "nurse": "SCRAM-SHA-1", "nobody": "SCRAM-SHA-1"} {
		has := "SCRAM-SHA-1"
		if lacks == has {
			has = "SCRAM-SHA-256"
		}
		c := newSASLClient(t, s)
		if user == "nobody" {
			c.challenge(lacks, user) // the first login makes more calls
			c = newSASLClient(t, s)
		}
		before := c.challenge(lacks, user)
		if again := newSASLClient(t, s).challenge(lacks, user); again != before {
			t.Errorf("%s: %s, and then %s", user, before, again)
		}
		var list []string
		calls.Store(&list)
		got := c.scram(lacks, hashes[lacks], user, "secret", "")
		calls.Store(nil)
		if got != "not-authorized" || strings.Join(list, " ") != "Account" {
			t.Errorf("%s with %s: %q after the calls %q", user, lacks, got, list)
		}
		if user == "nobody" {
			continue
		}
		if got := c.scram(has, hashes[has], user, "secret", ""); got != "" {
			t.Errorf("%s with %s on the same stream: %q", user, has, got)
		}
		if got := newSASLClient(t, s).plain(user, "wrong"); got != "not-authorized" {
			t.Errorf("%s with a wrong password: %q", user, got)
		}
		if got := newSASLClient(t, s).plain(user, "secret"); got != "" {
			t.Errorf("%s with PLAIN: %q", user, got)
		}
		account := jid.MustParse(user + "@localhost")
		xmpptest.Eventually(t, "the keys are added", func() bool {
			a, err := s.Store.Account(t.Context(), account)
			return err == nil && a.Credentials.Hashes() == store.AllHashes
		})
		if after := newSASLClient(t, s).challenge(lacks, user); after != before {
			t.Errorf("%s: %s before the keys were added, %s after it", user, before, after)
		}
		if got := newSASLClient(t, s).scram(lacks, hashes[lacks], user, "secret", ""); got != "" {
			t.Errorf("%s with %s after PLAIN: %q", user, lacks, got)
		}
		// The next one finds nothing to do.
		list = nil
		calls.Store(&list)
		got = newSASLClient(t, s).plain(user, "secret")
		calls.Store(nil)
		list = slices.DeleteFunc(list, func(call string) bool { return call == "MissingKeys" }) // it is not for this login
		if got != "" || strings.Join(list, " ") != "Account" {
			t.Errorf("%s with PLAIN again: %q after the calls %q", user, got, list)
		}
	}
}

// TestOfferFollowsAccounts: what is offered changes when accounts do, but not on a stream
// that has its features: the hash of XEP-0474 must be that of what the client was offered.
func TestOfferFollowsAccounts(t *testing.T) {
	s := xmpptest.NewServer(t, withKeys(t, store.SHA1))
	features := func() string {
		t.Helper()
		return (&saslClient{fuzzClient: fuzzClient{t, dial(t, s)}}).ask(openStream, "</stream:features>")
	}
	offers := func(want bool) {
		t.Helper()
		got := features()
		if strings.Contains(got, "<mechanism>SCRAM-SHA-256<") != want || strings.Contains(got, "<upgrade") == want || !strings.Contains(got, "<mechanism>SCRAM-SHA-1<") {
			t.Errorf("offers SCRAM-SHA-256: %v, want %v; %s", !want, want, got)
		}
	}
	catchUp := func() {
		t.Helper()
		done := make(chan error, 1)
		s.Sessions.Go(session.Write, func(turn *session.Turn) { done <- s.Router.CatchUpAll(turn) })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	offers(true)
	open := newSASLClient(t, s)
	paris := jid.MustParse("paris@localhost")
	if _, err := s.Store.SetCredentials(t.Context(), paris, store.AnyEvent, oldKeys(t, store.SHA1), true); err != nil {
		t.Fatal(err)
	}
	catchUp()
	offers(false)
	if got := open.scram("SCRAM-SHA-256", scram.SHA256, "romeo", "secret", ""); got != "" {
		t.Errorf("on a stream that was offered it: %q", got)
	}
	if err := s.Store.DeleteAccount(t.Context(), paris, store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	catchUp()
	offers(true)
}

// upgradeTo authenticates paris and begins the task.
func upgradeTo(t testing.TB, s *xmpptest.Server) *saslClient {
	t.Helper()
	c := newSASLClient(t, s)
	client, err := scram.SHA1.NewClient("paris", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	conv := client.NewConversation()
	first, err := conv.Step("")
	if err != nil {
		t.Fatal(err)
	}
	name, answer := c.sasl2("authenticate mechanism='SCRAM-SHA-1'", "<initial-response>"+base64.StdEncoding.EncodeToString([]byte(first))+
		"</initial-response><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>")
	if name != "challenge" {
		t.Fatal(name, answer)
	}
	final, err := conv.Step(answer)
	if err != nil {
		t.Fatal(err)
	}
	got := c.ask("<response xmlns='urn:xmpp:sasl:2'>"+base64.StdEncoding.EncodeToString([]byte(final))+"</response>", "</continue>")
	_, got, _ = strings.Cut(got, "<additional-data>")
	got, _, _ = strings.Cut(got, "</additional-data>")
	signature, err := base64.StdEncoding.DecodeString(got)
	if err == nil {
		_, err = conv.Step(string(signature))
	}
	if err != nil || !conv.Valid() {
		t.Fatalf("the server's signature in <continue/> is not valid: %v", err)
	}
	return c
}

const (
	nextTask = "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>"
	taskHash = "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>yMCi5fBhAl/qHiNOpZxoK2RsIAwsoNLk5TCENBgvMPo=</hash></task-data>"
)

// TestUpgradeFails: <success/> is sent when the keys are stored. If they cannot be, or the
// account has changed since the client has authenticated, the login fails.
func TestUpgradeFails(t *testing.T) {
	var st faultstore.Faults
	cfg := withKeys(t, store.SHA1, "paris")
	cfg.Store = st.Options()
	cfg.Logger = slog.New(slog.DiscardHandler)
	s := xmpptest.NewServer(t, cfg)
	paris := jid.MustParse("paris@localhost")
	f := func(desc string, before func() error, want string, has store.HashSet) {
		t.Helper()
		c := upgradeTo(t, s)
		c.ask(nextTask, "</task-data>")
		if err := before(); err != nil {
			t.Fatal(err)
		}
		if got := c.ask(taskHash, ">") + c.ask("", ">"); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", desc, got, want)
		}
		a, err := s.Store.Account(t.Context(), paris)
		if err != nil || a.Credentials.Hashes() != has {
			t.Errorf("%s: keys for %b, %v; want %b", desc, a.Credentials.Hashes(), err, has)
		}
	}
	old := store.SetOf(store.SHA1)
	f("a failing disk", func() error {
		st.SetFault(func(method string) error {
			if method == "AddKeys" {
				return errors.New("the disk is full")
			}
			return nil
		})
		return nil
	}, "<temporary-auth-failure", old)
	st.SetFault(nil)
	f("another password", func() error {
		_, err := s.Store.SetCredentials(t.Context(), paris, store.AnyEvent, oldKeys(t, store.SHA1), true)
		return err
	}, "<temporary-auth-failure", old)
	f("nothing wrong", func() error { return nil }, "<success", store.AllHashes)
}

// TestUpgradeMemory: a client with a task holds a limited amount of memory before login, and
// none after it.
func TestUpgradeMemory(t *testing.T) {
	s := xmpptest.NewServer(t, withKeys(t, store.SHA1, "paris"))
	c := upgradeTo(t, s)
	if n := s.Held(); n < 512 || n > 8192 {
		t.Errorf("%d bytes are counted for a client with a task", n)
	}
	c.ask(nextTask, "</task-data>")
	c.ask(taskHash, "</stream:features>")
	if n := s.Held(); n != 0 {
		t.Errorf("%d bytes are counted after the login", n)
	}
}
