package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"roost/store"
)

// smallDisk is a file system of so many bytes. The test is skipped where none can
// be mounted.
func smallDisk(t *testing.T, bytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+bytes); err != nil {
		t.Skipf("a small disk needs the right to mount one (root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk writes a file until the disk is full.
func fillDisk(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			size /= 16
		}
	}
}

// TestDeleteOnFullDisk: on a disk without a free byte messages cannot be kept, but
// what was delivered can be deleted, one after the other, though another process
// takes each byte that becomes free and the log has no space of its own. It is not
// there after the next start. When there is space again, messages are kept again, and
// there is a reserve for the next time.
func TestDeleteOnFullDisk(t *testing.T) {
	ctx := t.Context()
	dir := smallDisk(t, "32m")
	cfg := Config{Path: filepath.Join(dir, FileName), LogBytes: 1 << 20, ReserveBytes: 4 << 20}
	filler := filepath.Join(dir, "filler")
	s := openTest(t, cfg)
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	fillMailbox(t, s, juliet, 100, 100_000)
	keep := func() error {
		return s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: make([]byte, 200_000), Received: time.Now()}, store.OfflineQuota{})
	}
	cutLog(t, s)
	fillDisk(t, filler)
	err := keep()
	for err == nil { // what is free in the log
		err = keep()
	}
	says(t, err, "no space is left on the disk")
	waiting, _, err := s.Offline(ctx, juliet, 0, 1<<30)
	if err != nil || len(waiting) < 100 {
		t.Fatal(len(waiting), err)
	}
	for i, m := range waiting {
		if err := s.DeleteOffline(ctx, juliet, m.ID); err != nil {
			t.Fatalf("message %d of %d could not be deleted: %v", i, len(waiting), err)
		}
		fillDisk(t, filler)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openTest(t, cfg)
	if n, err := s.CountOffline(ctx, juliet); n != 0 || err != nil {
		t.Errorf("%d messages are there again, %v", n, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := keep(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, cfg)
	if size := fileSize(t, cfg.Path+"-reserve"); size != cfg.ReserveBytes {
		t.Errorf("the reserve has %d bytes, want %d", size, cfg.ReserveBytes)
	}
}

// TestLentToDeletions: what a full disk lends to deletions is not for others, until
// there is space again. Bug: messages took it, and what was delivered then could not
// be deleted.
func TestLentToDeletions(t *testing.T) {
	ctx := t.Context()
	dir := smallDisk(t, "32m")
	filler := filepath.Join(dir, "filler")
	s := openTest(t, Config{Path: filepath.Join(dir, FileName), LogBytes: 1 << 20, ReserveBytes: 4 << 20})
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	fillMailbox(t, s, juliet, 20, 100_000)
	cutLog(t, s)
	fillDisk(t, filler)
	if err := s.DeleteOffline(ctx, juliet, 5); err != nil {
		t.Fatal(err)
	}
	keep := func() error {
		return s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: []byte("small"), Received: time.Now()}, store.OfflineQuota{})
	}
	says(t, keep(), "no space is left on the disk")
	if err := s.DeleteOffline(ctx, juliet, 1<<40); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := s.write(ctx, "Test", "step", whole|outside, func(c *conn) error { s.step(c); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := keep(); err != nil {
		t.Errorf("there is space again: %v", err)
	}
}

// TestLogWithoutReserve: where the disk has no space for the reserve the log is cut
// all the same. Bug: it kept its space, as that of a full disk does, and grew until the
// disk was full.
func TestLogWithoutReserve(t *testing.T) {
	dir := smallDisk(t, "32m")
	s := openTest(t, Config{Path: filepath.Join(dir, FileName), LogBytes: 256 << 10, ReserveBytes: 24 << 20})
	if s.reserve.full() {
		t.Fatal("there is space for the reserve")
	}
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		fillMailbox(t, s, juliet, 1, 100_000)
	}
	cutLog(t, s)
	if n := s.logSize(); n != 0 {
		t.Errorf("the log has %d bytes after it was cut", n)
	}
}

// TestDeleteBesideFullWrites: a deletion does not fail with the writes that the
// disk has no space for and that are in its transaction.
func TestDeleteBesideFullWrites(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Config{})
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	fillMailbox(t, s, juliet, 5, 1000)
	pragma(t, s, "max_page_count = 50")
	// The writer waits until both writes are in its queue.
	release, waits := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.write(ctx, "Test", "wait", whole|outside, func(*conn) error { close(waits); <-release; return nil })
	}()
	<-waits
	kept, deleted := make(chan error, 1), make(chan error, 1)
	go func() {
		kept <- s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: make([]byte, 1<<20)}, store.OfflineQuota{})
	}()
	go func() { deleted <- s.DeleteOffline(ctx, juliet, 1<<40) }()
	for len(s.queue) < 2 {
		runtime.Gosched()
	}
	close(release)
	says(t, <-kept, "no space is left on the disk")
	if err := <-deleted; err != nil {
		t.Error(err)
	}
	if n, err := s.CountOffline(ctx, juliet); n != 0 || err != nil {
		t.Errorf("%d messages are left, %v", n, err)
	}
}
