package admin

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"roost/admin/api"
	"roost/jid"
	"roost/store"
	"roost/store/faultstore"
	"roost/store/memstore"
)

// TestInvitations: invitations are what was asked for, are listed in pages, and have no token.
func TestInvitations(t *testing.T) {
	faults := new(faultstore.Faults)
	st, err := memstore.New().Open(t.Context(), faults.Options())
	if err != nil {
		t.Fatal(err)
	}
	on, held := true, time.Now().Add(-time.Hour)
	_, c := start(t, func(_ *Config, b *Backend) {
		b.Store = st
		b.Domains = func() []string { return []string{"localhost", "example.org"} }
		b.Invitations = func() Invitations {
			return Invitations{On: on, Life: time.Hour, Page: func(domain, token string) string { return "https://" + domain + "/" + token }, Held: held}
		}
	})
	post := func(q api.InvitationCreate) (i api.InvitationCreated, err error) {
		err = c.Do(t.Context(), http.MethodPost, api.PathInvitations, nil, q, &i)
		return i, err
	}
	ids := make(map[string]bool)
	f := func(q api.InvitationCreate, life time.Duration) api.InvitationCreated {
		t.Helper()
		i, err := post(q)
		if err != nil || i.Domain != "localhost" || i.Username != q.Username || i.Uses != max(q.Uses, 1) || i.Until.Sub(i.CreatedAt) != life || i.Inviter != "" || i.Contact {
			t.Errorf("%+v: %+v, %v", q, i, err)
		}
		token := i.Page[len("https://localhost/"):]
		if i.ID != store.InvitationID(token) || i.URI != "xmpp:"+map[bool]string{true: q.Username + "@"}[q.Username != ""]+"localhost?register;preauth="+token {
			t.Errorf("URI %s, page %s", i.URI, i.Page)
		}
		ids[i.ID] = true
		return i
	}
	f(api.InvitationCreate{Domain: "localhost"}, time.Hour)
	named := f(api.InvitationCreate{Domain: "LOCALHOST", Username: "bill", Seconds: 60}, time.Minute)
	f(api.InvitationCreate{Domain: "localhost", Uses: 1000, Seconds: 0.1}, time.Second)
	_, err = post(api.InvitationCreate{})
	wantError(t, err, 400, api.CodeBadRequest, "domain is missing")
	_, err = post(api.InvitationCreate{Domain: "localhost", Username: "bill"})
	wantError(t, err, 409, api.CodeConflict, "bill@localhost exists already, was deleted not long ago (--hold-names), or is reserved by another invitation")
	if err := errors.Join(st.CreateAccount(t.Context(), store.Account{JID: jid.MustParse("bob@localhost")}), st.DeleteAccount(t.Context(), jid.MustParse("bob@localhost"), store.AnyEvent)); err != nil {
		t.Fatal(err)
	}
	_, err = post(api.InvitationCreate{Domain: "localhost", Username: "bob"})
	wantError(t, err, 409, api.CodeConflict, "was deleted not long ago")
	held = time.Now().Add(time.Hour)
	f(api.InvitationCreate{Domain: "localhost", Username: "bob"}, time.Hour)
	_, err = post(api.InvitationCreate{Domain: "localhost", Username: "bob", Uses: 2})
	wantError(t, err, 400, api.CodeBadRequest, "uses must be 1")
	on = false
	_, err = post(api.InvitationCreate{Domain: "localhost"})
	wantError(t, err, 409, api.CodeConflict, "--invitations")

	for cursor, n := "", 0; n == 0 || cursor != ""; n++ {
		var p api.InvitationPage
		q := map[string][]string{"limit": {"2"}}
		if cursor != "" {
			q["cursor"] = []string{cursor}
		}
		if err := c.Get(t.Context(), api.PathInvitations, q, &p); err != nil || n > 1 {
			t.Fatalf("page %d: %v", n, err)
		}
		for _, i := range p.Invitations {
			delete(ids, i.ID)
		}
		cursor = p.Cursor
	}
	if len(ids) > 0 {
		t.Errorf("not listed: %v", ids)
	}
	revoke := func() error {
		return c.Do(t.Context(), http.MethodDelete, api.PathInvitations+"/"+named.ID, nil, nil, nil)
	}
	faults.SetFault(func(string) error { return errors.New("the disk is gone") })
	wantError(t, revoke(), 500, api.CodeInternal, "its log has the reason")
	faults.SetFault(nil)
	if err := revoke(); err != nil {
		t.Error(err)
	}
	wantError(t, revoke(), 404, api.CodeNotFound, "there is no invitation")
}
