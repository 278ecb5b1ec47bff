package teststores

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"roost/jid"
	"roost/store"
)

// crashKindEnv and crashURLEnv make the test binary a process that writes to a store
// until it is killed. They name the kind of the store and its URL.
const (
	crashKindEnv = "ROOST_TEST_CRASH_KIND"
	crashURLEnv  = "ROOST_TEST_CRASH_URL"
)

// crashWriters is how many goroutines of the child write at once.
const crashWriters = 8

// TestMain fails if a test leaks a goroutine.
func TestMain(m *testing.M) {
	if kind := os.Getenv(crashKindEnv); kind != "" {
		crashChild(kind, os.Getenv(crashURLEnv))
	}
	goleak.VerifyTestMain(m)
}

func crashOwner(w int) jid.JID { return jid.MustParse(fmt.Sprintf("u%d@example.com", w)) }

func crashPeer(w int) jid.JID { return jid.MustParse(fmt.Sprintf("p%d@example.com", w)) }

// crashStanza returns the message with which writer w continues after n others.
func crashStanza(n int) []byte { return fmt.Appendf(nil, "%d %0500d", n, 0) }

// crashChild writes until it is killed. On its standard output it reports each write
// that has succeeded: "M writer message" or "R writer item".
func crashChild(kind, url string) {
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	s, err := Kinds[slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == kind })].open(ctx, url)
	check(err)
	var mu sync.Mutex
	report := func(what string, w, n int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %d %d\n", what, w, n)
	}
	for w := range crashWriters {
		go func() {
			start, err := s.CountOffline(ctx, crashOwner(w))
			check(err)
			for n := start; ; n++ {
				m := store.NewMessage{From: crashPeer(w), Stanza: crashStanza(n), Received: time.Now()}
				check(s.AppendOffline(ctx, crashOwner(w), m, store.OfflineQuota{}))
				report("M", w, n)
				check(crashRosters(ctx, s, w, n))
				report("R", w, n)
			}
		}()
	}
	select {}
}

// crashRosters changes two rosters in one transaction.
func crashRosters(ctx context.Context, s store.Store, w, n int) error {
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

// TestCrash kills a process repeatedly while it writes, on each durable kind of store:
// afterwards, each write that has succeeded is there, each transaction is there as a
// whole or not at all, and the store is not damaged.
func TestCrash(t *testing.T) {
	RunDurable(t, func(t *testing.T, k Kind) { testCrash(t, k, k.URL(t)) })
}

func testCrash(t *testing.T, k Kind, url string) {
	s, err := k.open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
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
		for _, line := range killedChild(t, k, url, 300+50*round) {
			var what string
			var w, n int
			if _, err := fmt.Sscanf(line, "%s %d %d", &what, &w, &n); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if what == "M" {
				messages[w] = max(messages[w], n+1)
			} else {
				items[w] = append(items[w], n)
			}
		}
		checkCrashed(t, k, url, messages[:], items[:])
	}
}

// killedChild starts a child, kills it after a number of lines, and returns all its
// complete lines.
func killedChild(t *testing.T, k Kind, url string, lines int) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashKindEnv+"="+k.Name, crashURLEnv+"="+url)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reports []string
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if reports = append(reports, strings.TrimSpace(line)); len(reports) == lines {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if len(reports) < lines {
		t.Fatalf("the child has ended after %d lines: %s", len(reports), &stderr)
	}
	return reports
}

// checkCrashed checks and reads the store after a crash.
func checkCrashed(t *testing.T, k Kind, url string, messages []int, items [][]int) {
	t.Helper()
	ctx := t.Context()
	if k.Check != nil {
		k.Check(t, url)
	}
	s, err := k.open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for w := range crashWriters {
		msgs, _, err := s.Offline(ctx, crashOwner(w), 0, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if len(msgs) < messages[w] {
			t.Errorf("writer %d: %d messages are stored, %d were acknowledged", w, len(msgs), messages[w])
		}
		for i, m := range msgs {
			if !bytes.Equal(m.Stanza, crashStanza(i)) {
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
			t.Errorf("writer %d: the rosters have %d and %d items", w, len(a.Items), len(b.Items))
		}
		stored := make(map[string]bool)
		for _, item := range a.Items {
			stored[item.JID.String()] = true
		}
		for _, n := range items[w] {
			if !stored[fmt.Sprintf("c%d@example.org", n)] {
				t.Errorf("writer %d: item %d was acknowledged and is missing", w, n)
			}
		}
	}
}
