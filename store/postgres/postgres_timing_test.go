package postgres

import (
	"bytes"
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"roost/internal/pgtest"
	"roost/jid"
	"roost/store"
)

const benchAccounts = 2000

// cpu returns the CPU time that this process has used, without that of the database.
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

// BenchmarkRead measures the reads of a login, for accounts with 20 contacts and without.
func BenchmarkRead(b *testing.B) {
	ctx := context.Background()
	s := openTest(b, pgtest.Shared(b).URL(b), Config{})
	var k store.Credentials
	for h := range store.NumHashes {
		key := bytes.Repeat([]byte{7}, h.Size())
		k[h] = store.Keys{Salt: key[:store.SaltSize], Iterations: 10000, StoredKey: key, ServerKey: key}
	}
	var all []store.Account
	for i := range benchAccounts {
		all = append(all, store.Account{JID: user(i), Credentials: k})
	}
	if _, _, err := s.ImportAccounts(ctx, all, store.SkipExisting); err != nil {
		b.Fatal(err)
	}
	for i := range benchAccounts / 2 {
		r, err := s.Roster(ctx, user(i))
		if err != nil {
			b.Fatal(err)
		}
		var updates []store.RosterUpdate
		for n := range 20 {
			item := &store.RosterItem{JID: user(i + n + 1), Name: "Some Name", Groups: []string{"Friends"}, Subscription: store.Both}
			updates = append(updates, store.RosterUpdate{Owner: user(i), Expect: r.Version + int64(n), Put: item})
		}
		if _, err := s.ApplyRoster(ctx, updates); err != nil {
			b.Fatal(err)
		}
	}
	half := func(from int) jid.JID { return user(from + rand.IntN(benchAccounts/2)) }
	b.Run("account", func(b *testing.B) {
		timed(b, func() error { _, err := s.Account(ctx, half(0)); return err })
	})
	b.Run("login20", func(b *testing.B) {
		timed(b, func() error { _, err := s.LoginState(ctx, half(0)); return err })
	})
	b.Run("login0", func(b *testing.B) {
		timed(b, func() error { _, err := s.LoginState(ctx, half(benchAccounts/2)); return err })
	})
	b.Run("append", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := s.AppendOffline(ctx, half(0), store.NewMessage{From: user(1), Stanza: make([]byte, 300)}, store.OfflineQuota{}); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
