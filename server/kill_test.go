package server

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"roost/internal/teststores"
	"roost/internal/wrongclock"
	"roost/internal/xmpptest"
	"roost/router"
	"roost/session"
)

// childEnv makes the test binary a server with this data directory, for tests that kill a
// process. childStoreEnv is the URL of its store, empty for the default. With childDurableEnv
// it stores messages before it delivers them.
const (
	childEnv        = "ROOST_TEST_SERVER"
	childStoreEnv   = "ROOST_TEST_STORE"
	childDurableEnv = "ROOST_TEST_DURABLE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(childServer(dir, os.Getenv(childStoreEnv)))
	}
	// certmagic keeps a lock fresh for some seconds too long.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

// childServer prints its address and serves until it is killed.
func childServer(dir, url string) int {
	cfg := Config{C2S: "127.0.0.1:0", DataDir: dir, Store: url, Session: session.Config{AllowPlaintext: true}, Router: router.Config{Durable: os.Getenv(childDurableEnv) != "", MaxOffline: 1 << 20}}
	model := os.Getenv(childModelEnv) != ""
	if model {
		cfg = modelConfig(cfg)
	}
	node := os.Getenv(childNodeEnv)
	if node != "" {
		if os.Getenv(childClockEnv) != "" && wrongclock.Supported() {
			wrongclock.Shift()
		}
		cfg = nodeConfig(cfg, node)
	}
	s, err := New(context.Background(), cfg)
	if err == nil {
		err = xmpptest.AddAccounts(context.Background(), s.store, "localhost")
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println(s.Addrs()[0].Addr)
	if model || node != "" {
		return controlChild(s)
	}
	select {}
}

// startChild starts a server in its own process, with more variables in its environment, and
// returns its address.
func startChild(t *testing.T, dir, url string, env ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(append(os.Environ(), childEnv+"="+dir, childStoreEnv+"="+url), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

// TestKill kills a server with SIGKILL in the middle of roster sets and offline messages,
// on each kind of persistent store. Everything that the server has acknowledged is there
// afterwards.
func TestKill(t *testing.T) {
	teststores.RunDurable(t, func(t *testing.T, k teststores.Kind) { testKill(t, t.TempDir(), k.URL(t)) })
}

func testKill(t *testing.T, dir, url string) {
	const items, messages = 0, 1
	var n [2]int // acknowledged, in all rounds
	for round := range 3 {
		cmd, addr := startChild(t, dir, url)
		var mu sync.Mutex
		var wg sync.WaitGroup
		cond, over := sync.NewCond(&mu), false
		// did counts something that was acknowledged. There is not much more of either kind than
		// what is waited for, so that all messages are one page: juliet gets it before a reply.
		did := func(what int) {
			mu.Lock()
			defer mu.Unlock()
			n[what]++
			cond.Broadcast()
			for !over && n[what] >= 60*(round+1)+50 {
				cond.Wait()
			}
		}
		stop := func() {
			mu.Lock()
			defer mu.Unlock()
			over = true
			cond.Broadcast()
		}
		// Romeo adds contacts and sends messages to Juliet, who is offline. The reply to
		// the ping after a message shows that the message is stored: stanzas of one
		// session are processed in order.
		wg.Go(func() {
			defer stop()
			p := dialTo(t, addr)
			p.quietly(func() {
				p.login("romeo", "r")
				for i := 0; ; i++ {
					p.ask(fmt.Sprintf("<iq type='set' id='s%d'><query xmlns='jabber:iq:roster'><item jid='c%d-%d@example.org'/></query></iq>", i, round, i), fmt.Sprintf("id='s%d'", i))
					did(items)
				}
			})
		})
		wg.Go(func() {
			defer stop()
			p := dialTo(t, addr)
			p.quietly(func() {
				p.login("romeo", "m")
				for i := 0; ; i++ {
					p.ask(fmt.Sprintf("<message type='chat' to='juliet@localhost'><body>m%d-%d</body></message>"+
						"<iq type='get' id='p%d' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", round, i, i), fmt.Sprintf("id='p%d'", i))
					did(messages)
				}
			})
		})
		// Kill after an event, not after a time, so that there is something to lose.
		xmpptest.Eventually(t, "enough roster items and messages to be acknowledged", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return min(n[items], n[messages]) >= 60*(round+1)
		})
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		stop()
		wg.Wait()
	}

	_, addr := startChild(t, dir, url)
	got := dialTo(t, addr).login("romeo", "r").ask("<iq type='get' id='end'><query xmlns='jabber:iq:roster'/></iq>", "</iq>")
	if count := strings.Count(got, "<item "); count < n[items] {
		t.Errorf("%d roster items exist, %d were acknowledged", count, n[items])
	}
	juliet := dialTo(t, addr).login("juliet", "j")
	juliet.ask("<presence/>", "<presence from=")
	got = juliet.ask("<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='end'")
	if count := strings.Count(got, "<message "); count < n[messages] {
		t.Errorf("%d messages exist, %d were acknowledged", count, n[messages])
	}
	for round := range 3 {
		last := -1
		for _, part := range strings.Split(got, fmt.Sprintf("<body>m%d-", round))[1:] {
			var i int
			if _, err := fmt.Sscanf(part, "%d<", &i); err != nil || i != last+1 {
				t.Fatalf("round %d: message %d comes after message %d", round, i, last)
			}
			last = i
		}
	}
}
