package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/internal/cmdtest"
	"roost/jid"
	"roost/migrate"
	"roost/migrate/sqlrows"
	"roost/store"
)

// marker is part of everything that is stored for the person of TestUserExport, except of
// what others have of her.
const marker = "unmistakable"

// tokenOf is the tokens of a client, as package session stores them.
const tokenOf = `{"current":{"nonce":"bm9uY2U=","mechanism":"HT-SHA-256-NONE","keys":"","issued":1,"expiry":1},"software":"` + marker + `","used":1}`

// withPerson makes a database with the data of one person, and of another one who knows her.
func withPerson(t *testing.T) (dir string, juliet, nurse jid.JID) {
	t.Helper()
	dir, juliet, nurse = t.TempDir(), jid.MustParse("juliet@a.example"), jid.MustParse("nurse@a.example")
	s := cmdtest.OpenStore(t, dir)
	keys, err := store.NewCredentials(marker, store.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	message := func(from, to jid.JID, text string) store.NewMessage {
		return store.NewMessage{From: from, Received: time.UnixMilli(1e12), Stanza: []byte("<message from='" + from.String() + "' to='" + to.String() + "'><body>" + text + "</body></message>")}
	}
	both := store.RosterItem{Subscription: store.Both}
	item := func(j jid.JID, name string) []store.RosterItem {
		both.JID, both.Name = j, name
		return []store.RosterItem{both}
	}
	_, err = s.CreateAccounts(t.Context(), []store.AccountData{
		{
			Account: store.Account{JID: juliet, Credentials: keys, Created: time.Unix(1e9, 0)}, Roster: item(nurse, marker),
			Requests: []store.Request{{From: jid.MustParse(marker + "@a.example"), Received: time.Unix(1e9, 0), Stanza: []byte("<presence type='subscribe' from='" + marker + "@a.example'/>")}},
			Messages: []store.NewMessage{message(nurse, juliet, marker)},
			Blobs: []store.Blob{{Kind: migrate.VCardKind, Value: []byte("<vCard xmlns='vcard-temp'><FN>" + marker + "</FN></vCard>")}, {Kind: migrate.PrivateKind, Key: "{p}p", Value: []byte("<p xmlns='p'>" + marker + "</p>")},
				{Kind: store.BlockedKind, Key: marker + ".example"}, {Kind: "urn:xmpp:fast:0", Key: "c1", Value: []byte(tokenOf)}},
			Last: &store.LastActivity{At: time.Unix(1e9, 0), Status: []byte(marker)},
		},
		{Account: store.Account{JID: nurse, Credentials: keys}, Roster: item(juliet, "Juliet"), Messages: []store.NewMessage{message(juliet, nurse, "a letter")}},
	})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, juliet, nurse
}

// TestUserExport: the data of one account are written without anything by which one could log
// in.
func TestUserExport(t *testing.T) {
	dir, juliet, _ := withPerson(t)
	file := filepath.Join(t.TempDir(), "juliet.json")
	f := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append([]string{"user", "export", "--data", dir}, args...)...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q: exit code %d, %s%s; want %d, %q", args, got, stdout, stderr, code, want)
		}
	}
	f(1, "there is no account romeo@a.example", "romeo@a.example")
	f(0, `"jid": "juliet@a.example"`, "juliet@a.example")
	f(0, "wrote the data of juliet@a.example to "+file+"\n", "juliet@a.example", "--to", file)
	f(1, file+" exists already", "juliet@a.example", "--to", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	text := contentOf(t, file)
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{"blocked", "clients", "created", "jid", "keys", "last_online", "messages", "private", "requests", "roster", "vcard"}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if n := strings.Count(text, marker); n != 8 {
		t.Errorf("%d of 8 parts in\n%s", n, text)
	}
	a, err := cmdtest.OpenStore(t, dir).Account(t.Context(), juliet)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"bm9uY2U=", "nonce"}
	for _, k := range a.Credentials {
		for _, b := range [][]byte{k.Salt, k.StoredKey, k.ServerKey} {
			secrets = append(secrets, base64.StdEncoding.EncodeToString(b))
		}
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			t.Errorf("%s is in\n%s", s, text)
		}
	}
}

// TestUserDelLeavesNothing: after the deletion of an account, the database has its address
// only where others have written it, and as docs/privacy.md says; nothing else of it is in
// its files.
func TestUserDelLeavesNothing(t *testing.T) {
	dir, juliet, nurse := withPerson(t)
	if code, stdout, stderr := cmdtest.Result(t, nil, "user", "del", juliet.String(), "--data", dir); code != 0 {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	f := func(want ...string) {
		t.Helper()
		if got := tablesWith(t, dir, juliet.String(), juliet.Domain()+"\t"+juliet.Local()); !slices.Equal(got, want) {
			t.Errorf("%v is in the tables %q, want %q", juliet, got, want)
		}
		for _, name := range []string{"roost.db", "roost.db-wal"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil && bytes.Contains(b, []byte(marker)) {
				t.Errorf("%s has something of it", name)
			}
		}
	}
	f("account_event", "offline", "roster_item", "tombstone")
	s := cmdtest.OpenStore(t, dir)
	ro, err := s.Roster(t.Context(), nurse)
	if err != nil || len(ro.Items) != 1 || ro.Items[0].Subscription != store.None || ro.Items[0].Name != "Juliet" {
		t.Errorf("the roster of a contact: %+v, %v", ro, err)
	}
	future := time.Now().Add(time.Hour)
	if err := s.SetDisabled(t.Context(), nurse, true); err != nil { // an event
		t.Fatal(err)
	}
	if err := s.ForgetDeleted(t.Context(), future, future); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f("offline", "roster_item")
}

// tablesWith returns the tables that have one of these texts.
func tablesWith(t *testing.T, dir string, texts ...string) []string {
	t.Helper()
	found := make(map[string]bool)
	file := filepath.Join(dir, "roost.db")
	err := sqlrows.Source{Name: file, Open: func() (io.ReadCloser, error) { return os.Open(file) }}.Read(t.Context(), sqlrows.Receiver{
		Want: func(string) bool { return true },
		Row: func(r *sqlrows.Row) error {
			for _, text := range texts {
				if strings.Contains(r.String(), text) {
					found[r.Table] = true
				}
			}
			return nil
		},
		Problem: func(at, text string) { t.Errorf("%s: %s", at, text) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}
