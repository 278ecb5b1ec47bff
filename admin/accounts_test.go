package admin

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"roost/admin/api"
	"roost/jid"
	"roost/store"
	"roost/store/faultstore"
	"roost/store/memstore"
)

// TestAccountChangedUnread: an account that was changed, and cannot be read afterwards, is
// said to be changed.
func TestAccountChangedUnread(t *testing.T) {
	faults := new(faultstore.Faults)
	st, err := memstore.New().Open(t.Context(), faults.Options())
	if err != nil {
		t.Fatal(err)
	}
	j := jid.MustParse("romeo@example.org")
	if err := st.CreateAccount(t.Context(), store.Account{JID: j}); err != nil {
		t.Fatal(err)
	}
	_, c := start(t, func(_ *Config, b *Backend) {
		b.Store, b.AccountsChanged = st, func(context.Context) {
			faults.SetFault(func(string) error { return errors.New("the disk is gone") })
		}
	})
	err = c.Do(t.Context(), http.MethodPost, "/v1/accounts/romeo@example.org/disable", nil, nil, nil)
	wantError(t, err, 500, api.CodeInternal, "romeo@example.org is changed as requested, but could not be read")
	faults.SetFault(nil)
	if a, err := st.Account(t.Context(), j); err != nil || !a.Disabled {
		t.Errorf("%+v %v", a, err)
	}
}
