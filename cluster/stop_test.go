package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"roost/cluster/clustertest"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/router"
)

// stopURLEnv makes the test binary a node that registers resources and reports what it
// handles.
const stopURLEnv = "ROOST_TEST_CLUSTER_URL"

// reporter prints what a node handles.
type reporter struct{ clustertest.Recorder }

func (r *reporter) NewLane() router.NodeLane                  { return r }
func (*reporter) Flush()                                      {}
func (*reporter) Item(_ router.NodeID, _ string, item []byte) { fmt.Printf("item %s\n", item) }
func (*reporter) Rejoined(context.Context, router.Lost)       { fmt.Println("rejoined") }

// runChild is the other process. It ends when its standard input does.
func runChild(url string) {
	n, err := start(Config{URL: url, Name: "child", Lease: testLease}, new(reporter))
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	for i := range 100 {
		if _, err := n.Register(context.Background(), fmt.Sprintf("u%d@x", i), "r", router.Registration{}); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	fmt.Println("node", n.Self())
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// TestStopped: a node whose process is stopped for longer than its lease is dead to the
// others. When it continues, it does not handle what others have taken over, and joins again.
func TestStopped(t *testing.T) {
	server := redistest.Start(t)
	n, h := open(t, server.URL(), "a")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), stopURLEnv+"="+server.URL())
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = child.Process.Signal(syscall.SIGCONT)
		_ = child.Wait()
	}()
	lines := bufio.NewScanner(out)
	line := func() string {
		if !lines.Scan() {
			t.Fatal("the other process has ended")
		}
		return lines.Text()
	}
	var first router.NodeID
	if text := line(); !strings.HasPrefix(text, "node ") {
		t.Fatal(text)
	} else if _, err := fmt.Sscanf(text, "node %d", &first); err != nil {
		t.Fatal(err)
	}
	xmpptest.Eventually(t, "the other node is alive", func() bool { return len(n.Others()) == 1 })
	n.Send(first, "a@x", []byte("before"))
	if got := line(); got != "item before" {
		t.Fatal(got)
	}
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	xmpptest.Eventually(t, "the process is stopped", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child.Process.Pid))
		return err == nil && strings.Contains(string(stat), ") T ")
	})
	// Its kernel still receives these.
	for i := range 10 {
		n.Send(first, "a@x", fmt.Append(nil, i))
	}
	xmpptest.Eventually(t, "the deaths are reported", func() bool { return len(h.Deaths()) == 100 })
	xmpptest.Eventually(t, "the items are returned", func() bool { return len(h.Returned()) >= 10 })
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := line(); got != "rejoined" {
		t.Errorf("%q, want no item that was returned to others", got)
	}
	xmpptest.Eventually(t, "the other node is alive", func() bool { return len(n.Others()) == 1 })
	if now := n.Others()[0]; now == first {
		t.Error("it has the epoch of a node that has died")
	} else {
		n.Send(now, "a@x", []byte("after"))
	}
	got := line()
	for got == "rejoined" { // if a request that was under way has failed, too, it is told so again
		got = line()
	}
	if got != "item after" {
		t.Error(got)
	}
}
