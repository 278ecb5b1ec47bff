package capacity

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"roost/jid"
	"roost/store"
	"roost/store/sqlite"
)

// BenchmarkKernelSocket reports the figure of KernelBytes: the growth of the kernel's
// slab caches per idle connection watched by epoll, one side of it. It needs 9,000 open
// files and an otherwise idle machine.
func BenchmarkKernelSocket(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	grow := func(n int) (slab int64) {
		for range n {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			open = append(open, c, s)
		}
		time.Sleep(time.Second) // for the kernel to free the memory of the handshakes
		info, err := ThisHost().meminfo()
		if err != nil {
			b.Fatal(err)
		}
		return info["Slab"]
	}
	const pairs = 4000
	for b.Loop() {
		before := grow(500)
		b.ReportMetric(float64(grow(pairs)-before)/(2*pairs), "kernel-B/socket")
	}
}

// BenchmarkStoreBytes reports the figures of AccountBytes and OfflineBytes.
func BenchmarkStoreBytes(b *testing.B) {
	const accounts, contacts = 5000, 10
	key := func(n int) []byte { return bytes.Repeat([]byte{7}, n) }
	var credentials store.Credentials
	for h := range store.NumHashes {
		credentials[h] = store.Keys{Salt: key(store.SaltSize), Iterations: 10000, StoredKey: key(h.Size()), ServerKey: key(h.Size())}
	}
	all := make([]jid.JID, accounts)
	for i := range all {
		all[i] = jid.MustParse(fmt.Sprintf("subscriber%07d@example.org", i))
	}
	ctx := b.Context()
	for b.Loop() {
		dir := b.TempDir()
		path := filepath.Join(dir, sqlite.FileName)
		do := func(f func(s *sqlite.Store)) (size int64) {
			s, err := sqlite.Open(ctx, sqlite.Config{Path: path})
			if err != nil {
				b.Fatal(err)
			}
			f(s)
			if err := s.Close(); err != nil { // moves the write-ahead log into the database
				b.Fatal(err)
			}
			for _, name := range []string{path, path + "-wal"} {
				if info, err := os.Stat(name); err == nil {
					size += info.Size()
				}
			}
			return size
		}
		empty := do(func(*sqlite.Store) {})
		filled := do(func(s *sqlite.Store) {
			for _, j := range all {
				if err := s.CreateAccount(ctx, store.Account{JID: j, Credentials: credentials}); err != nil {
					b.Fatal(err)
				}
			}
			for i := range contacts {
				var updates []store.RosterUpdate
				for n, j := range all {
					r, err := s.Roster(ctx, j)
					if err != nil {
						b.Fatal(err)
					}
					item := &store.RosterItem{JID: all[(n+i*997+1)%accounts], Name: "Juliet Capulet", Groups: []string{"Friends"}, Subscription: store.Both}
					updates = append(updates, store.RosterUpdate{Owner: j, Expect: r.Version, Put: item})
				}
				for from := 0; from < accounts; from += 250 {
					if _, err := s.ApplyRoster(ctx, updates[from:from+250]); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		message := []byte(`<message xmlns='jabber:client' from='subscriber0000001@example.org/phone' to='subscriber0000002@example.org' type='chat' id='purple4a1c'>` +
			`<body>Neither, fair saint, if either thee dislike. And what else would a person of few words like to say here?</body><request xmlns='urn:xmpp:receipts'/></message>`)
		waiting := do(func(s *sqlite.Store) {
			for _, j := range all {
				if err := s.AppendOffline(ctx, j, store.NewMessage{From: j, Stanza: message, Received: time.Now()}, store.OfflineQuota{Messages: 10}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(filled-empty)/accounts, "B/account")
		b.ReportMetric(float64(waiting-filled)/accounts, "B/message")
	}
}
