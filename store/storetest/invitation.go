package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
)

// invitation returns one of juliet that has an ID and no end in sight.
func invitation(id string) store.Invitation {
	return store.Invitation{
		ID: id, Domain: juliet.Domain(), Inviter: juliet.String(), Actor: "root", Contact: true, Uses: 1,
		Created: time.Unix(2e9, 0).UTC(), Until: time.Unix(4e9, 0).UTC(),
	}
}

// invited is the invitation of a fixture.
var invited = invitation("1")

// testInvitations: invitations are stored to the second, listed in order, limited for each
// inviter, deleted with the inviter, and forgotten a day after their end, or when that is asked for.
func testInvitations(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, juliet)
	want := func(what string, want ...store.Invitation) {
		t.Helper()
		var all []store.Invitation
		for after := ""; ; after = all[len(all)-1].ID {
			page, err := s.ListInvitations(ctx, after, 2)
			if ok(t, "ListInvitations", err); len(page) == 0 {
				break
			}
			all = append(all, page...)
		}
		if !slices.Equal(all, want) {
			t.Errorf("%s:\n%+v, want\n%+v", what, all, want)
		}
		for _, i := range want {
			if got, err := s.Invitation(ctx, i.ID); err != nil || got != i {
				t.Errorf("%s: %+v, %v, want %+v", what, got, err, i)
			}
		}
	}
	want("at first")
	one, two, three := invitation("a"), invitation("b"), invitation("c")
	two.Inviter, two.Localpart, two.Contact, two.Uses, two.Actor = "", "paris", false, 7, "bob"
	three.Until = three.Created.Add(time.Hour)
	finer := three
	finer.Created, finer.Until = three.Created.Add(time.Millisecond).In(time.FixedZone("", 3600)), three.Until.Add(999*time.Millisecond)
	for _, i := range []store.Invitation{two, finer, one} {
		ok(t, "CreateInvitation", s.CreateInvitation(ctx, i, 2))
	}
	want("three", one, two, three)
	wants(t, "CreateInvitation beyond the limit", s.CreateInvitation(ctx, invitation("d"), 2), store.ErrQuota)
	later := invitation("d")
	later.Created = three.Until
	ok(t, "CreateInvitation at the end of another", s.CreateInvitation(ctx, later, 2))
	want("four", one, two, three, later)
	ok(t, "DeleteInvitation", s.DeleteInvitation(ctx, later.ID))
	wants(t, "DeleteInvitation again", s.DeleteInvitation(ctx, later.ID), store.ErrNotFound)
	later.Created = three.Until.Add(store.KeepInvitations - time.Second)
	ok(t, "CreateInvitation", s.CreateInvitation(ctx, later, 2))
	want("a day later but for a second", one, two, three, later)
	last := invitation("e")
	last.Inviter, last.Created = "", three.Until.Add(store.KeepInvitations)
	ok(t, "CreateInvitation", s.CreateInvitation(ctx, last, 2))
	want("a day later", one, two, later, last)
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, juliet, store.AnyEvent))
	want("without the inviter", two, last)
	ended := invitation("f")
	ended.Inviter, ended.Until = "", last.Until.Add(-time.Minute)
	ok(t, "CreateInvitation", s.CreateInvitation(ctx, ended, 10))
	ok(t, "ForgetInvitations", s.ForgetInvitations(ctx, ended.Until.Add(-time.Millisecond)))
	want("before the end", two, last, ended)
	ok(t, "ForgetInvitations", s.ForgetInvitations(ctx, ended.Until.Add(time.Millisecond)))
	want("at the end", two, last)
	ok(t, "ForgetInvitations again", s.ForgetInvitations(ctx, ended.Until))
}

// testReservedNames: the name that an invitation is for cannot be registered without it, nor
// reserved by another one, until it ends or is used. That of a deleted account cannot be reserved.
func testReservedNames(t *testing.T, s store.Store) {
	ctx := t.Context()
	since := time.Unix(1e9, 0)
	now := time.Now().Truncate(time.Second)
	reserve := func(id string, until time.Time, want error) {
		t.Helper()
		i := store.Invitation{ID: id, Domain: paris.Domain(), Localpart: paris.Local(), Uses: 1, Created: now, Until: until}
		wants(t, "CreateInvitation "+id, s.CreateInvitation(ctx, i, 10), want)
	}
	register := func(desc string, j jid.JID, want error) {
		t.Helper()
		wants(t, desc, s.RegisterAccount(ctx, store.Account{JID: j}, since), want)
	}
	reserve("ended", now, nil)
	reserve("a", now.Add(time.Hour), nil)
	reserve("b", now.Add(time.Hour), store.ErrExists)
	beyond := store.Invitation{ID: "e", Domain: paris.Domain(), Localpart: paris.Local(), Uses: 1, Created: now, Until: now.Add(time.Hour)}
	wants(t, "a reserved name beyond the limit", s.CreateInvitation(ctx, beyond, 1), store.ErrQuota)
	register("a reserved name", paris, store.ErrHeld)
	register("in another domain", jid.MustParse("paris@example.net"), nil)
	other := store.Invitation{ID: "any", Domain: paris.Domain(), Uses: 1, Created: now, Until: now.Add(time.Hour)}
	ok(t, "CreateInvitation", s.CreateInvitation(ctx, other, 10))
	wants(t, "by another invitation", s.RegisterInvited(ctx, store.Account{JID: paris}, "any", since, nil), store.ErrHeld)
	wants(t, "another name", s.RegisterInvited(ctx, store.Account{JID: nurse}, "a", since, nil), store.ErrNotFound)
	ok(t, "RegisterInvited", s.RegisterInvited(ctx, store.Account{JID: paris}, "a", since, nil))
	reserve("c", now.Add(time.Hour), store.ErrExists)
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, paris, store.AnyEvent))
	register("a name that was deleted", paris, store.ErrHeld)
	reserve("d", now.Add(time.Hour), store.ErrExists)
	wants(t, "free again", s.RegisterAccount(ctx, store.Account{JID: paris}, time.Now().Add(time.Hour)), nil)
	create(t, s, juliet) // an operator may
	if i, err := s.Invitation(ctx, "any"); err != nil || i.Uses != 1 {
		t.Errorf("an invitation that was refused: %+v, %v", i, err)
	}
	ok(t, "DeleteAccount", s.DeleteAccount(ctx, paris, store.AnyEvent))
	reserve("d", now.Add(time.Hour), store.ErrExists)
	ok(t, "ForgetDeleted", s.ForgetDeleted(ctx, now.Add(time.Hour), since))
	reserve("d", now.Add(time.Hour), nil)
}

// testRegisterInvited: an invitation creates as many accounts as it has uses, also after its
// end, and makes them contacts of the inviter.
func testRegisterInvited(t *testing.T, s store.Store) {
	ctx := t.Context()
	since := time.Unix(1e9, 0)
	create(t, s, juliet)
	i := invitation("a")
	i.Uses, i.Created, i.Until = 2, time.Unix(9e8, 0).UTC(), time.Unix(1e9, 0).UTC()
	ok(t, "CreateInvitation", s.CreateInvitation(ctx, i, 10))
	put(t, s, juliet, store.RosterItem{JID: nurse, Name: "the nurse", Groups: []string{"g"}})
	r, err := s.Roster(ctx, juliet)
	ok(t, "Roster", err)
	item := store.RosterItem{JID: nurse, Name: "the nurse", Groups: []string{"g"}, Subscription: store.Both}
	contact := &store.RosterUpdate{Owner: juliet, Expect: r.Version, Put: &item}
	ok(t, "RegisterInvited", s.RegisterInvited(ctx, store.Account{JID: nurse, Credentials: credentials(3)}, "a", since, contact))
	a, err := s.Account(ctx, nurse)
	if ok(t, "Account", err); !same(a.Credentials, credentials(3)) || a.Event == 0 {
		t.Errorf("account %+v", a)
	}
	changes, current, _, err := s.RosterChanges(ctx, juliet, r.Version)
	ok(t, "RosterChanges", err)
	if it := changes[0].Item; len(changes) != 1 || current != r.Version+1 || it.JID != nurse || it.Name != item.Name || !slices.Equal(it.Groups, item.Groups) || it.Subscription != store.Both {
		t.Errorf("the inviter's roster has changed: %+v", changes)
	}
	r, err = s.Roster(ctx, nurse)
	ok(t, "Roster", err)
	if len(r.Items) != 1 || r.Items[0].JID != juliet || r.Items[0].Subscription != store.Both || r.Items[0].Version != r.Version {
		t.Errorf("the new account's roster: %+v", r)
	}
	put(t, s, nurse, store.RosterItem{JID: romeo}) // it can be changed

	other := jid.MustParse("a@example.net")
	wants(t, "in another domain", s.RegisterInvited(ctx, store.Account{JID: other}, "a", since, nil), store.ErrNotFound)
	ok(t, "the second use", s.RegisterInvited(ctx, store.Account{JID: paris}, "a", since, nil))
	wants(t, "a third use", s.RegisterInvited(ctx, store.Account{JID: nobody}, "a", since, nil), store.ErrNotFound)
	if got, err := s.Invitation(ctx, "a"); err != nil || got.Uses != 0 {
		t.Errorf("the used invitation: %+v, %v", got, err)
	}
	_, err = s.Account(ctx, nobody)
	wants(t, "Account", err, store.ErrNotFound)
}

// testInvitationRace: of many clients that use an invitation at once, as many succeed as it has
// uses.
func testInvitationRace(t *testing.T, s store.Store) {
	i := invitation("a")
	i.Uses = 3
	ok(t, "CreateInvitation", s.CreateInvitation(t.Context(), i, 10))
	var all sync.WaitGroup
	errs := make([]error, 12)
	for n := range errs {
		all.Go(func() {
			j := jid.MustParse(fmt.Sprintf("user%d@%s", n, i.Domain))
			errs[n] = s.RegisterInvited(t.Context(), store.Account{JID: j, Credentials: credentials(1)}, "a", time.Unix(1e9, 0), nil)
		})
	}
	all.Wait()
	created := 0
	for _, err := range errs {
		if err == nil {
			created++
		} else if !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	}
	accounts, err := s.ListAccounts(t.Context(), i.Domain, jid.JID{}, 100)
	if ok(t, "ListAccounts", err); created != 3 || len(accounts) != 3 {
		t.Errorf("%d succeeded, and there are %d accounts, want 3", created, len(accounts))
	}
}
