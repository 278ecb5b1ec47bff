package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"roost/internal/cmdtest"
	"roost/jid"
	"roost/store"
	"roost/store/stores"
)

// BenchmarkBackup stores 1,000 messages a second, without a backup, while roost backup copies a
// database of 1 GB, and without again.
func BenchmarkBackup(b *testing.B) {
	const (
		accounts = 10_000
		messages = 240_000 // of 4,000 bytes, before the backup
		alone    = 20 * time.Second
	)
	for b.Loop() {
		dir := b.TempDir()
		s, err := stores.Open(b.Context(), stores.Default(dir), store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		l := &load{s: s}
		var all []store.Account
		for i := range accounts {
			l.owners = append(l.owners, jid.MustParse(fmt.Sprintf("u%d@localhost", i)))
			all = append(all, store.Account{JID: l.owners[i]})
		}
		if _, _, err := s.ImportAccounts(b.Context(), all, store.SkipExisting); err != nil {
			b.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 128 {
			wg.Go(func() {
				for range messages / 128 {
					l.store(4000)
				}
			})
		}
		wg.Wait()
		info, err := os.Stat(filepath.Join(dir, stores.FileName))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB")

		undisturbed := func() float64 {
			ctx, cancel := context.WithTimeout(b.Context(), alone)
			defer cancel()
			return l.run(ctx)
		}
		before := undisturbed()

		ctx, cancel := context.WithCancel(b.Context())
		cmd := cmdtest.Program(nil, "backup", filepath.Join(b.TempDir(), "b.tar"), "--data", dir)
		var logged int64
		start := time.Now()
		wg.Go(func() {
			defer cancel()
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Errorf("%v: %s", err, out)
			}
		})
		p99 := l.run(ctx)
		b.ReportMetric(time.Since(start).Seconds(), "backup-s")
		b.ReportMetric(p99, "p99-backup-ms")
		wg.Wait()
		b.ReportMetric((before+undisturbed())/2, "p99-alone-ms")
		if info, err := os.Stat(filepath.Join(dir, stores.FileName+"-wal")); err == nil {
			logged = info.Size()
		}
		b.ReportMetric(float64(logged)/1e6, "log-MB")
		b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1e3, "backup-RSS-MB")
		if l.failed > 0 {
			b.Errorf("%d messages were not stored", l.failed)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// load stores messages.
type load struct {
	s      store.Store
	owners []jid.JID

	mu     sync.Mutex
	times  []time.Duration
	failed int
}

// store stores a message of this size.
func (l *load) store(size int) {
	start := time.Now()
	m := store.NewMessage{From: l.owners[0], Stanza: bytes.Repeat([]byte("m"), size), Received: start}
	err := l.s.AppendOffline(context.Background(), l.owners[rand.IntN(len(l.owners))], m, store.OfflineQuota{Messages: 1 << 20})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, time.Since(start))
	if err != nil {
		l.failed++
	}
}

// run stores 1,000 messages a second until ctx ends, each when it is due, and returns the 99th
// percentile of their times, in milliseconds.
func (l *load) run(ctx context.Context) (p99 float64) {
	l.times = nil
	var wg sync.WaitGroup
	due := time.NewTicker(10 * time.Millisecond)
	defer due.Stop()
	for {
		select {
		case <-due.C:
			for range 10 {
				wg.Go(func() { l.store(1000) })
			}
			continue
		case <-ctx.Done():
		}
		break
	}
	wg.Wait()
	slices.Sort(l.times)
	fmt.Printf("%d messages: p50 %v, p99 %v, p99.9 %v, longest %v\n", len(l.times), l.times[len(l.times)/2], l.times[len(l.times)*99/100], l.times[len(l.times)*999/1000], l.times[len(l.times)-1])
	return float64(l.times[len(l.times)*99/100].Microseconds()) / 1000
}
