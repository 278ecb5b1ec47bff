package router_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/store"
	"roost/xep"
)

// TestFormerOwner: an account was deleted and created again, but the server has not
// processed that yet. A session of the former account can access nothing of the new
// account's roster: it is not sent the roster, and the new account's contacts are not
// notified of the session.
func TestFormerOwner(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Router: router.Config{RosterCache: 1}}) // read from the store each time
	ctx, owner, contact := t.Context(), jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost")
	old, juliet := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<presence/>", "<presence")
	recreate(t, s.Store, owner)
	ro, err := s.Store.Roster(ctx, owner)
	if err != nil {
		t.Fatal(err)
	}
	item := store.RosterItem{JID: contact, Subscription: store.Both}
	if _, err := s.Store.ApplyRoster(ctx, []store.RosterUpdate{{Owner: owner, Expect: ro.Version, Put: &item}}); err != nil {
		t.Fatal(err)
	}
	const end = "<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	old.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>"+end, "id='end'")
	old.say("</stream:stream>", "</stream:stream>")
	if !strings.Contains(old.got, "id='roster'") || strings.Contains(old.got, "juliet") {
		t.Errorf("the former owner got %s", old.got)
	}
	juliet.say(end, "id='end'")
	if strings.Contains(juliet.got, "romeo") {
		t.Errorf("the contact was notified of the former owner: %s", juliet.got)
	}
}

// recreate deletes an account and creates another one of the same name, as another process
// would, and returns the new one.
func recreate(t *testing.T, st store.Store, owner jid.JID) store.Account {
	t.Helper()
	account, err := st.Account(t.Context(), owner)
	if err == nil {
		err = st.DeleteAccount(t.Context(), owner, store.AnyEvent)
	}
	if err == nil {
		err = st.CreateAccount(t.Context(), account)
	}
	if err == nil {
		account, err = st.Account(t.Context(), owner)
	}
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// TestFormerOwnerWrites: such a session neither changes anything of the new account nor
// receives what is stored for it, whether the former account's roster is in memory or not.
func TestFormerOwnerWrites(t *testing.T) {
	for _, cache := range []int{0, 1} {
		cfg := xmpptest.Config{XEP: xep.Config{Register: true}, Router: router.Config{RosterCache: cache}}
		s := xmpptest.NewServer(t, cfg)
		ctx, owner, contact := t.Context(), jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost")
		old, juliet := comeOnline(t, s, "romeo"), comeOnline(t, s, "juliet")
		old.write("<presence type='unavailable'/>")
		old.sync()
		paris := comeOnline(t, s, "paris")
		paris.write("<presence type='subscribe' to='romeo@localhost'/>") // the roster in memory gets a request too
		paris.sync()
		account := recreate(t, s.Store, owner)
		fill(t, s.Store, owner, contact)
		paris.write("<message type='chat' to='romeo@localhost'><body>young</body></message>") // and the session's offlinePending is set
		paris.sync()
		before := allOf(ctx, t, s.Store, owner, contact)
		old.got, old.used = "", 0
		iqs := []string{
			"<query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query>",
			"<query xmlns='jabber:iq:roster'><item jid='juliet@localhost' subscription='remove'/></query>",
			"<query xmlns='jabber:iq:roster'><item jid='nurse@localhost' subscription='remove'/></query>",
			"<vCard xmlns='vcard-temp'><FN>Old</FN></vCard>",
			"<query xmlns='jabber:iq:private'><x xmlns='x:x'>old</x></query>",
			"<query xmlns='jabber:iq:private'><x xmlns='x:x'/></query>",
			"<query xmlns='jabber:iq:register'><username>romeo</username><password>old</password></query>",
			"<query xmlns='jabber:iq:register'><remove/></query>",
		}
		text := "<presence/>"
		for _, kind := range []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed"} {
			for _, to := range []string{"mercutio", "juliet", "nurse"} {
				text += "<presence type='" + kind + "' to='" + to + "@localhost' id='x'/>"
			}
		}
		text += "<iq type='get' id='x'><query xmlns='jabber:iq:private'><x xmlns='x:x'/></query></iq>"
		for _, iq := range iqs {
			text += "<iq type='set' id='x'>" + iq + "</iq>"
		}
		old.write(text)
		old.sync()
		const refused = "<error type='auth'><not-authorized "
		if got, want := strings.Count(old.got, refused), len(iqs)+1+12; got != want {
			t.Errorf("%d requests were refused, want %d: %s", got, want, old.got)
		}
		for _, secret := range []string{"young", "juliet@localhost/r", "type='subscribe' from", "<message"} {
			if strings.Contains(strings.ReplaceAll(old.got, "<presence type='error'", ""), secret) {
				t.Errorf("the former owner got %q: %s", secret, old.got)
			}
		}
		juliet.sync()
		if strings.Contains(juliet.got, "romeo") {
			t.Errorf("the contact was notified of the former owner: %s", juliet.got)
		}
		if after := allOf(ctx, t, s.Store, owner, contact); !reflect.DeepEqual(before, after) {
			t.Errorf("the new account had\n%v\nand after the former owner's requests it has\n%v", before, after)
		}
		if now, err := s.Store.Account(ctx, owner); err != nil || !reflect.DeepEqual(now, account) {
			t.Errorf("the new account was %v, is %v (%v)", account, now, err)
		}
	}
}

// fill gives an account a contact, a request, a message, a vCard and a private value.
func fill(t *testing.T, st store.Store, owner, contact jid.JID) {
	t.Helper()
	ctx, nurse := t.Context(), jid.MustParse("nurse@localhost")
	mine, err := st.Roster(ctx, owner)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := st.Roster(ctx, contact)
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.ApplyRoster(ctx, []store.RosterUpdate{
		{Owner: owner, Expect: mine.Version, Put: &store.RosterItem{JID: contact, Subscription: store.Both, Name: "young"},
			AddRequest: &store.Request{From: nurse, Stanza: []byte("<presence type='subscribe' from='nurse@localhost'/>")}},
		{Owner: contact, Expect: theirs.Version, Put: &store.RosterItem{JID: owner, Subscription: store.Both}},
	})
	if err == nil {
		err = st.AppendOffline(ctx, owner, store.NewMessage{From: nurse, Stanza: []byte("<message>young</message>")}, store.OfflineQuota{})
	}
	for kind, key := range map[string]string{"vcard-temp": "", "jabber:iq:private": "{x:x}x"} {
		if err == nil {
			err = st.UpdateBlobs(ctx, store.BlobSet{Owner: owner, Kind: kind}, func(tx store.BlobTx) error {
				return tx.Put(key, []byte("<young/>"))
			})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// allOf returns everything that the store has of an account except its keys, and the
// rosters of others.
func allOf(ctx context.Context, t *testing.T, st store.Store, owner, contact jid.JID) []any {
	t.Helper()
	var all []any
	add := func(x any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	add(st.Roster(ctx, owner))
	add(st.Roster(ctx, contact))
	add(st.Roster(ctx, jid.MustParse("mercutio@localhost")))
	add(st.SubscriptionRequests(ctx, owner))
	msgs, _, err := st.Offline(ctx, owner, 0, 1<<20)
	add(msgs, err)
	add(st.Blob(ctx, owner, "vcard-temp", ""))
	add(st.Blob(ctx, owner, "jabber:iq:private", "{x:x}x"))
	return all
}

// TestFormerSession: a client that has logged in does not resume a session that has to end because
// of what happened to the account before: it is one of a former account of that name, or was
// authenticated by an earlier password. Bug: until the server had processed that by itself, the
// session became one of the new account, and did not end afterwards.
func TestFormerSession(t *testing.T) {
	owner := jid.MustParse("romeo@localhost")
	for desc, change := range map[string]func(t *testing.T, st store.Store) error{
		"recreated": func(t *testing.T, st store.Store) error { recreate(t, st, owner); return nil },
		"another password": func(t *testing.T, st store.Store) error {
			keys, err := store.NewCredentials("secret", store.MinIterations)
			if err == nil {
				_, err = st.SetCredentials(t.Context(), owner, store.AnyEvent, keys, false)
			}
			return err
		},
	} {
		t.Run(desc, func(t *testing.T) {
			s := xmpptest.NewServer(t, xmpptest.Config{})
			old := loginRaw(t, s, "romeo", plainHeader)
			id := old.enable()
			_ = old.conn.Close()
			xmpptest.Eventually(t, "the session waits", func() bool { return s.Sessions.Detached() == 1 })
			if err := change(t, s.Store); err != nil {
				t.Fatal(err)
			}
			c := dialRaw(t, s)
			authenticate(c, "romeo", plainHeader)
			c.write("<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + id + "'/>")
			c.sync()
			if !strings.Contains(c.got, "<item-not-found ") || s.Sessions.Detached() != 0 {
				t.Fatalf("%d sessions wait; the client got %s", s.Sessions.Detached(), c.got)
			}
			c.say("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "<jid>romeo@localhost/r</jid>")
		})
	}
}

// TestFormerLeaves: the contacts of a deleted account are sent unavailable presence of its
// resources even if the roster of the next account of that name is already in memory.
func TestFormerLeaves(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	owner := jid.MustParse("romeo@localhost")
	const end = "<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	old, juliet, nurse := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader), loginRaw(t, s, "nurse", plainHeader)
	old.say("<presence/>", "<presence")
	juliet.say("<presence/>", "<presence")
	juliet.say("<presence type='subscribe' to='romeo@localhost'/>"+end, "id='end'")
	old.await("type='subscribe'")
	old.write("<presence type='subscribed' to='juliet@localhost'/>")
	juliet.await("from='romeo@localhost/r'")
	account := recreate(t, s.Store, owner)
	nurse.say("<presence type='subscribe' to='romeo@localhost'/>"+end, "id='end'") // finds that the roster has changed
	ro, err := s.Router.Roster(owner)
	if err != nil || ro.Generation != account.Generation {
		t.Fatalf("the roster in memory is of generation %d, the new account of %d (%v)", ro.Generation, account.Generation, err)
	}
	caughtUp := make(chan error)
	s.Sessions.Go(session.Write, func(t *session.Turn) { caughtUp <- s.Router.CatchUpAll(t) })
	if err := <-caughtUp; err != nil {
		t.Fatal(err)
	}
	juliet.await("<presence type='unavailable' from='romeo@localhost/r'")
}
