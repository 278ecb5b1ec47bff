package server

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"roost/internal/teststores"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
	"roost/store/stores"
)

var numbered = regexp.MustCompile(`<message[^>]* id='m(\d+)'`)

// numbersIn returns the numbers of the messages in what a client has received.
func numbersIn(t *testing.T, got string) (ids []int) {
	t.Helper()
	for _, m := range numbered.FindAllStringSubmatch(got, -1) {
		id, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// TestKillUnacked kills a server with SIGKILL after it has sent stored messages to a client
// with stream management, which has acknowledged some of them. The others are sent again, in
// order; those are not.
func TestKillUnacked(t *testing.T) {
	teststores.RunDurable(t, func(t *testing.T, k teststores.Kind) { testKillUnacked(t, t.TempDir(), k.URL(t)) })
}

func testKillUnacked(t *testing.T, dir, url string) {
	const n, acked = 20, 12
	cmd, addr := startChild(t, dir, url)
	romeo := dialTo(t, addr).login("romeo", "r")
	for i := range n {
		romeo.ask(fmt.Sprintf("<message type='chat' to='juliet@localhost' id='m%d'><body>b</body></message>"+
			"<iq type='get' id='p%d' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", i, i), fmt.Sprintf("id='p%d'", i))
	}
	juliet := dialTo(t, addr).login("juliet", "j")
	juliet.ask("<enable xmlns='urn:xmpp:sm:3'/>", "<enabled ")
	got := juliet.ask("<presence/>", fmt.Sprintf("id='m%d'", n-1))
	before, _, _ := strings.Cut(got, fmt.Sprintf("id='m%d'", acked-1))
	h := strings.Count(before, "<message ") + strings.Count(before, "<presence ")
	_, _ = fmt.Fprintf(juliet.conn, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", h)

	st, err := stores.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	xmpptest.Eventually(t, "the acknowledged messages to be deleted", func() bool {
		left, err := st.CountOffline(t.Context(), jid.MustParse("juliet@localhost"))
		return err == nil && left == n-acked
	})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()

	_, addr = startChild(t, dir, url)
	juliet = dialTo(t, addr).login("juliet", "j")
	juliet.ask("<presence/>", "<presence from=")
	got = juliet.ask("<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='end'")
	var want []int
	for i := acked; i < n; i++ {
		want = append(want, i)
	}
	if ids := numbersIn(t, got); !slices.Equal(ids, want) {
		t.Errorf("received %v after the kill, want %v", ids, want)
	}
}

// TestKillAcked kills a server with SIGKILL while a client with stream management sends
// messages to an account without a client. Those that the server has acknowledged are there
// afterwards, in order and once.
func TestKillAcked(t *testing.T) {
	teststores.RunDurable(t, func(t *testing.T, k teststores.Kind) { testKillAcked(t, t.TempDir(), k.URL(t)) })
}

func testKillAcked(t *testing.T, dir, url string) {
	const enough = 40
	cmd, addr := startChild(t, dir, url)
	var acked atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		p := dialTo(t, addr)
		p.quietly(func() {
			p.login("romeo", "r").ask("<enable xmlns='urn:xmpp:sm:3'/>", "<enabled ")
			for i := 0; ; i++ {
				p.ask(fmt.Sprintf("<message type='chat' to='juliet@localhost' id='m%d'><body>b</body></message><r xmlns='urn:xmpp:sm:3'/>", i), fmt.Sprintf("h='%d'", i+1))
				acked.Store(int64(i + 1))
			}
		})
	})
	xmpptest.Eventually(t, "enough messages to be acknowledged", func() bool { return acked.Load() >= enough })
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	wg.Wait()

	_, addr = startChild(t, dir, url)
	juliet := dialTo(t, addr).login("juliet", "j")
	juliet.ask("<presence/>", "<presence from=")
	ids := numbersIn(t, juliet.ask("<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='end'"))
	if int64(len(ids)) < acked.Load() {
		t.Errorf("%d messages exist, %d were acknowledged", len(ids), acked.Load())
	}
	for i, id := range ids {
		if id != i {
			t.Fatalf("message %d is in place %d of %v", id, i, ids)
		}
	}
}
