package sqlite

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"go.uber.org/goleak"

	"roost/jid"
	"roost/store"
)

// crashEnv names the database of the child process that is killed.
const crashEnv = "ROOST_TEST_CRASH_DB"

// crashWriters is how many goroutines of the child write at once.
const crashWriters = 8

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		crashChild(path)
	}
	goleak.VerifyTestMain(m)
}

func crashOwner(w int) jid.JID { return jid.MustParse(fmt.Sprintf("u%d@example.com", w)) }

func crashPeer(w int) jid.JID { return jid.MustParse(fmt.Sprintf("p%d@example.com", w)) }

// crashChild writes until it is killed, and says on its standard output what it
// was told is durable: "M writer message" or "R writer item".
func crashChild(path string) {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	// A small log, so that it is killed in checkpoints too.
	s, err := Open(ctx, Config{Path: path, LogBytes: 64 << 10})
	fail(err)
	var mu sync.Mutex
	say := func(kind string, w, n int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %d %d\n", kind, w, n)
	}
	stanza := bytes.Repeat([]byte("x"), 500)
	for w := range crashWriters {
		go func() {
			start, err := s.CountOffline(ctx, crashOwner(w))
			fail(err)
			for n := start; ; n++ {
				fail(s.AppendOffline(ctx, crashOwner(w), store.NewMessage{From: juliet, Stanza: fmt.Appendf(nil, "%d %s", n, stanza), Received: time.Now()}, store.OfflineQuota{Messages: 1 << 30}))
				say("M", w, n)
				fail(crashRosters(ctx, s, w, n))
				say("R", w, n)
			}
		}()
	}
	select {}
}

// crashRosters changes two rosters in one transaction.
func crashRosters(ctx context.Context, s *Store, w, n int) error {
	a, err := s.Roster(ctx, crashOwner(w))
	if err != nil {
		return err
	}
	b, err := s.Roster(ctx, crashPeer(w))
	if err != nil {
		return err
	}
	item := &store.RosterItem{JID: jid.MustParse(fmt.Sprintf("c%d@example.org", n))}
	_, err = s.ApplyRoster(ctx, []store.RosterUpdate{
		{Owner: crashOwner(w), Expect: a.Version, Put: item},
		{Owner: crashPeer(w), Expect: b.Version, Put: item},
	})
	return err
}

// TestCrash kills a process in the midst of its writes, again and again: what
// was acknowledged is there, transactions are whole, the file is sound.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := openTest(t, Config{Path: path})
	for w := range crashWriters {
		for _, j := range []jid.JID{crashOwner(w), crashPeer(w)} {
			if err := s.CreateAccount(t.Context(), store.Account{JID: j}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var messages [crashWriters]int
	var items [crashWriters][]int
	for round := range 5 {
		acknowledged := killedChild(t, path, 300+50*round)
		for _, line := range acknowledged {
			var kind string
			var w, n int
			if _, err := fmt.Sscanf(line, "%s %d %d", &kind, &w, &n); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if kind == "M" {
				messages[w] = max(messages[w], n+1)
			} else {
				items[w] = append(items[w], n)
			}
		}
		checkCrashed(t, path, messages[:], items[:])
	}
}

// killedChild lets a child write until it has said so many lines, kills it, and
// returns all its whole lines.
func killedChild(t *testing.T, path string, lines int) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashEnv+"="+path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if said = append(said, strings.TrimSpace(line)); len(said) == lines {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if len(said) < lines {
		t.Fatalf("the child said %d lines and ended: %s", len(said), &stderr)
	}
	return said
}

// checkCrashed opens the database after a crash.
func checkCrashed(t *testing.T, path string, messages []int, items [][]int) {
	t.Helper()
	ctx := t.Context()
	checkIntegrity(t, path)
	s := openTest(t, Config{Path: path})
	defer s.Close()
	for w := range crashWriters {
		msgs, _, err := s.Offline(ctx, crashOwner(w), 0, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if len(msgs) < messages[w] {
			t.Errorf("writer %d: %d messages are there, %d were acknowledged", w, len(msgs), messages[w])
		}
		for i, m := range msgs {
			if !bytes.HasPrefix(m.Stanza, fmt.Appendf(nil, "%d x", i)) || len(m.Stanza) < 500 {
				t.Fatalf("writer %d: message %d is %q", w, i, m.Stanza)
			}
		}
		a, err := s.Roster(ctx, crashOwner(w))
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Roster(ctx, crashPeer(w))
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Items) != len(b.Items) {
			t.Errorf("writer %d: rosters of %d and %d items", w, len(a.Items), len(b.Items))
		}
		there := make(map[string]bool)
		for _, item := range a.Items {
			there[item.JID.String()] = true
		}
		for _, n := range items[w] {
			if !there[fmt.Sprintf("c%d@example.org", n)] {
				t.Errorf("writer %d: item %d is not there", w, n)
			}
		}
	}
}

// checkIntegrity has SQLite look through the whole file.
func checkIntegrity(t *testing.T, path string) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if text, err := sqlitex.ResultText(c.Prep("PRAGMA integrity_check")); err != nil || text != "ok" {
		t.Fatalf("integrity_check: %q, %v", text, err)
	}
	err = sqlitex.ExecuteTransient(c, "PRAGMA foreign_key_check", &sqlitex.ExecOptions{ResultFunc: func(st *sqlite.Stmt) error {
		t.Errorf("a row of %s belongs to no account", st.ColumnText(0))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}
