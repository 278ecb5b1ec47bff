package session

import (
	"context"
	"slices"
	"testing"

	"roost/jid"
	"roost/store"
)

// oneAccount is an Accounts with one account.
type oneAccount struct{ account store.Account }

func (a oneAccount) Account(_ context.Context, bare jid.JID) (store.Account, error) {
	if bare != a.account.JID {
		return store.Account{}, store.ErrNotFound
	}
	return a.account, nil
}

func (oneAccount) Shapes(context.Context) (map[store.Shape]int, error) { return nil, nil }

func (oneAccount) MissingKeys(context.Context, string) (store.HashSet, error) { return 0, nil }

func (oneAccount) AddKeys(context.Context, jid.JID, int64, store.Credentials) error { return nil }

// TestSecondAuthProfile: a profile other than that of RFC 6120 gets the results of an
// authentication as values, and decides how the stream continues.
func TestSecondAuthProfile(t *testing.T) {
	c, err := store.NewCredentials("secret", store.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	juliet := jid.MustParse("juliet@localhost")
	m := NewManager(Config{Domains: []string{"localhost"}, AllowPlaintext: true, Workers: 1, KeyWorkers: 1, FailureDelay: -1,
		Accounts: oneAccount{store.Account{JID: juliet, Credentials: c, Event: 7}}})
	defer m.Close()
	var got []string
	second := &authProfile{
		challenge: func(_ *Session, _ *Turn, data []byte) { got = append(got, "challenge "+string(data)) },
		success: func(s *Session, _ *Turn, o outcome) {
			got = append(got, "success "+o.account.String())
			s.become(o) // and the stream continues
		},
		failure: func(_ *Session, _ *Turn, cond saslError) { got = append(got, "failure "+string(cond)) },
	}
	p := &pipe{posted: make(chan func(int), 100)}
	s := m.New(p)
	s.jid = jid.MustParse("localhost").Compact()
	s.set(flagOpen)
	turn := m.turns[0]
	try := func(message []byte) {
		if !s.beginAuth(second, "PLAIN", false) {
			t.Fatal("PLAIN is not offered")
		}
		s.continueAuth(turn, message)
		p.runAll(m)
	}
	try(nil)
	try([]byte("\x00juliet\x00wrong"))
	try([]byte("\x00juliet\x00secret"))
	if want := []string{"challenge ", "failure not-authorized", "success juliet@localhost"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if s.JID() != juliet || s.Event() != 7 || s.Type() != C2S || s.NotOpen() {
		t.Errorf("%s, event %d, %s, not open: %v", s.JID(), s.Event(), s.Type(), s.NotOpen())
	}
	if p.out.Len() != 0 {
		t.Errorf("the client got %q from another profile", p.out.String())
	}
	p.closed = true
	s.Closed(0, nil)
}

// TestAuthProfiles: one exchange gives the same results in both profiles, each in its own
// XML.
func TestAuthProfiles(t *testing.T) {
	c, err := store.NewCredentials("secret", store.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	juliet := jid.MustParse("juliet@localhost")
	for profile, want := range map[*authProfile]string{
		&saslProfile: "<challenge xmlns='" + nsSASL + "'></challenge>" +
			"<failure xmlns='" + nsSASL + "'><not-authorized/></failure><success xmlns='" + nsSASL + "'/>",
		&sasl2Profile: "<challenge xmlns='" + nsSASL2 + "'></challenge>" +
			"<failure xmlns='" + nsSASL2 + "'><not-authorized xmlns='" + nsSASL + "'/></failure>" +
			"<success xmlns='" + nsSASL2 + "'><authorization-identifier>juliet@localhost</authorization-identifier></success>" +
			"<stream:features><bind xmlns='" + nsBind + "'/><session xmlns='" + nsSession + "'><optional/></session></stream:features>",
	} {
		m := NewManager(Config{Domains: []string{"localhost"}, AllowPlaintext: true, Workers: 1, KeyWorkers: 1, FailureDelay: -1,
			Accounts: oneAccount{store.Account{JID: juliet, Credentials: c, Event: 7}}})
		p := &pipe{posted: make(chan func(int), 100)}
		s := m.New(p)
		s.jid = jid.MustParse("localhost").Compact()
		s.set(flagOpen)
		for _, message := range [][]byte{nil, []byte("\x00juliet\x00wrong"), []byte("\x00juliet\x00secret")} {
			if !s.beginAuth(profile, "PLAIN", false) {
				t.Fatal("PLAIN is not offered")
			}
			s.continueAuth(m.turns[0], message)
			p.runAll(m)
		}
		if got := p.out.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if s.JID() != juliet || s.Event() != 7 || s.Type() != C2S {
			t.Errorf("%s, event %d, %s", s.JID(), s.Event(), s.Type())
		}
		p.closed = true
		s.Closed(0, nil)
		m.Close()
	}
}
