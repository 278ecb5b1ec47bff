package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

const benchAccounts = 20_000

// benchJIDs are the accounts in a benchmark's store.
var benchJIDs = func() (all []jid.JID) {
	for i := range benchAccounts {
		all = append(all, jid.MustParse(fmt.Sprintf("user%06d@example.com", i)))
	}
	return all
}()

func anyJID() jid.JID { return benchJIDs[rand.IntN(benchAccounts)] }

// fill creates the accounts, and rosters of 20 items for the first 1000.
func fill(b *testing.B, s *Store) {
	ctx := context.Background()
	key := func(n int) []byte { return bytes.Repeat([]byte{7}, n) }
	var k store.Credentials
	for h := range store.NumHashes {
		k[h] = store.Keys{Salt: key(store.SaltSize), Iterations: 10000, StoredKey: key(h.Size()), ServerKey: key(h.Size())}
	}
	for i := 0; i < benchAccounts; i += 1000 {
		var batch []store.Account
		for _, j := range benchJIDs[i : i+1000] {
			batch = append(batch, store.Account{JID: j, Credentials: k})
		}
		if _, _, err := s.ImportAccounts(ctx, batch, store.SkipExisting); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 20 {
		for from := 0; from < 1000; from += 250 {
			var updates []store.RosterUpdate
			for n, j := range benchJIDs[from : from+250] {
				r, err := s.Roster(ctx, j)
				if err != nil {
					b.Fatal(err)
				}
				item := &store.RosterItem{JID: benchJIDs[(from+n+i*997+1)%benchAccounts], Name: "Some Name", Groups: []string{"Friends"}, Subscription: store.Both}
				updates = append(updates, store.RosterUpdate{Owner: j, Expect: r.Version, Put: item})
			}
			if _, err := s.ApplyRoster(ctx, updates); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// cpu returns the CPU time that this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// timed runs a benchmark of f that also reports the CPU time per call.
func timed(b *testing.B, f func() error) {
	b.ReportAllocs()
	start := cpu()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

func BenchmarkRead(b *testing.B) {
	ctx := context.Background()
	s := openTest(b, Config{})
	fill(b, s)
	b.Run("account", func(b *testing.B) {
		timed(b, func() error { _, err := s.Account(ctx, anyJID()); return err })
	})
	b.Run("login20", func(b *testing.B) {
		timed(b, func() error { _, err := s.LoginState(ctx, benchJIDs[rand.IntN(1000)]); return err })
	})
	b.Run("login0", func(b *testing.B) {
		timed(b, func() error { _, err := s.LoginState(ctx, benchJIDs[1000+rand.IntN(1000)]); return err })
	})
	b.Run("offline0", func(b *testing.B) {
		timed(b, func() error { _, _, err := s.Offline(ctx, anyJID(), 0, 1<<16); return err })
	})
}

// BenchmarkDeliver stores ten messages of a size for an account and deletes them. SQLite
// overwrites deleted data, does so only if that needs no extra write, or does not.
func BenchmarkDeliver(b *testing.B) {
	ctx := context.Background()
	for _, size := range []int{300, 20_000} {
		for _, secure := range []string{"ON", "FAST", "OFF"} {
			b.Run(fmt.Sprintf("%d/secure=%s", size, secure), func(b *testing.B) {
				s := openTest(b, Config{})
				fill(b, s)
				err := s.write(ctx, "Test", "pragma", noSavepoint|noTx, func(c *conn) error {
					return sqlitex.ExecuteTransient(c.Conn, "PRAGMA secure_delete = "+secure, nil)
				})
				if err != nil {
					b.Fatal(err)
				}
				stanza := bytes.Repeat([]byte("x"), size)
				timed(b, func() error {
					j := anyJID()
					for range 10 {
						if err := s.AppendOffline(ctx, j, store.NewMessage{From: j, Stanza: stanza, Received: time.Now()}, store.OfflineQuota{}); err != nil {
							return err
						}
					}
					return deleteAll(ctx, s, j)
				})
			})
		}
	}
}

// BenchmarkWrite has many concurrent callers, as on a busy server.
func BenchmarkWrite(b *testing.B) {
	ctx := context.Background()
	s := openTest(b, Config{})
	fill(b, s)
	stanza := bytes.Repeat([]byte("x"), 300)
	f := func(name string, callers int, write func() error) {
		b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(max(1, callers/2))
			start := cpu()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := write(); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
	for _, callers := range []int{2, 32, 256} {
		f("offline", callers, func() error {
			return s.AppendOffline(ctx, anyJID(), store.NewMessage{From: juliet, Stanza: stanza, Received: time.Now()}, store.OfflineQuota{Messages: 1 << 20})
		})
		f("roster", callers, func() error {
			j := anyJID()
			r, err := s.Roster(ctx, j)
			if err == nil {
				_, err = s.ApplyRoster(ctx, []store.RosterUpdate{{Owner: j, Expect: r.Version, Put: &store.RosterItem{JID: anyJID()}}})
			}
			return ignoreConflict(err)
		})
	}
	f("last", 2, func() error {
		batch := make([]store.LastActivity, 100)
		for i := range batch {
			batch[i] = store.LastActivity{Owner: anyJID(), At: time.Now()}
		}
		return s.SetLastActivity(ctx, batch)
	})
}
