package router_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/store"
	"roost/store/faultstore"
	"roost/store/memstore"
)

// TestOfflineExpiry: messages that have been stored for OfflineDays are deleted, in steps, and
// counted; without OfflineDays, none is.
func TestOfflineExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := new(faultstore.Faults)
		st, err := memstore.New().Open(t.Context(), faults.Options())
		if err != nil {
			t.Fatal(err)
		}
		juliet := jid.MustParse("juliet@localhost")
		if err := st.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
			t.Fatal(err)
		}
		const perDay, days = 100, 10
		for day := range days {
			for range perDay {
				m := store.NewMessage{From: juliet, Stanza: []byte("x"), Received: time.Now().AddDate(0, 0, -day).Add(-time.Minute)}
				if err := st.AppendOffline(t.Context(), juliet, m, store.OfflineQuota{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		r := router.New(router.Config{Store: st})
		defer r.Close()
		expire := func(days, left int) {
			t.Helper()
			cfg := router.Config{OfflineDays: days}
			r.SetConfig(cfg)
			if err := r.ExpireOffline(t.Context()); err != nil {
				t.Error(err)
			}
			n, err := st.CountOffline(t.Context(), juliet)
			if err != nil || n != left*perDay {
				t.Errorf("after %d days: %d messages are left, want %d, %v", days, n, left*perDay, err)
			}
		}
		expire(0, days)
		began := time.Now()
		expire(4, 4)
		if took := time.Since(began); took < 100*time.Millisecond {
			t.Errorf("600 messages were deleted in %v: there was no pause for others", took)
		}
		expire(4, 4)
		expire(365, 4)

		// It ends with its context, and says what failed.
		r.SetConfig(router.Config{OfflineDays: 1})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.ExpireOffline(ctx); err == nil {
			t.Error("it did not end with its context")
		}
		faults.SetFault(func(method string) error { return fmt.Errorf("%s failed", method) })
		if err := r.ExpireOffline(t.Context()); err == nil || !strings.Contains(err.Error(), "ExpireOffline failed") {
			t.Error(err)
		}
	})
}

// TestExpiredBeforeDelivery: a client whose messages have expired while it was offline logs in
// as if there were none, and later ones reach it.
func TestExpiredBeforeDelivery(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.OfflineDays = 1
	s := xmpptest.NewServer(t, cfg)
	send := func(id string) {
		romeo := loginRaw(t, s, "romeo", plainHeader)
		romeo.write("<message type='chat' to='juliet@localhost' id='" + id + "'><body>b</body></message>")
		romeo.sync()
	}
	send("old")
	if n, err := s.Store.ExpireOffline(t.Context(), time.Now().Add(time.Hour), 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	send("new")
	juliet := loginRaw(t, s, "juliet", plainHeader)
	juliet.write("<presence/>")
	juliet.sync()
	send("direct")
	juliet.sync()
	if got := juliet.got; strings.Contains(got, "'old'") || !strings.Contains(got, "'new'") || !strings.Contains(got, "'direct'") {
		t.Error(got)
	}
}
