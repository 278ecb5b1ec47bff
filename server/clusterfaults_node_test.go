package server

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"roost/admin/api"
	"roost/cluster"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
)

// childNodeEnv makes a child a node of a cluster: its name and the URL of the Redis server,
// with a space between. The test controls it by lines on its standard input. With
// childClockEnv, its wall clock is an hour fast.
const (
	childNodeEnv  = "ROOST_TEST_NODE"
	childClockEnv = "ROOST_TEST_CLOCK"
)

// nodeConfig is the configuration of such a node.
func nodeConfig(cfg Config, node string) Config {
	name, url, _ := strings.Cut(node, " ")
	cfg.Cluster = cluster.Config{URL: url, Name: name, Lease: 4 * time.Second}
	cfg.Session.AckInterval, cfg.Session.ResumeTimeout = 20*time.Millisecond, 5*time.Second
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	return cfg
}

// nodeView is what a node knows.
type nodeView struct {
	self     router.NodeID // another one after the node was treated as dead
	others   int           // the number of the other nodes
	reach    bool
	sessions int
	waiting  int64  // bytes for other nodes, and of other nodes
	stored   string // the IDs of messages in the store, "-" if there are none
}

// nodeState returns a nodeView as a line.
func nodeState(s *Server) string {
	c, v := s.node.Stats(), nodeView{}
	v.self, v.others, v.reach, v.sessions = s.node.Self(), len(c.Others), c.Reachable, s.sessions.Counts().Bound
	v.waiting = c.QueueBytes + int64(c.HandleBytes)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var ids []string
	for _, account := range xmpptest.Accounts {
		msgs, _, err := s.store.Offline(ctx, jid.MustParse(account+"@localhost"), 0, 1<<20)
		if err != nil {
			ids = append(ids, "unknown")
			break
		}
		for _, x := range msgs {
			_, id, _ := strings.Cut(string(x.Stanza), " id='")
			id, _, _ = strings.Cut(id, "'")
			ids = append(ids, id)
		}
	}
	v.stored = cmp.Or(strings.Join(ids, ","), "-")
	return fmt.Sprintln(v.self, v.others, v.reach, v.sessions, v.waiting, v.stored)
}

// faultNode is a node in its own process. Only the controller starts and ends it.
type faultNode struct {
	t            *testing.T
	name, dir    string
	redis, store string // URLs
	durable      bool
	proxies      []*redistest.Proxy // of the engines, if it can be cut off
	log          *os.File

	self    router.NodeID // when the fault began
	wrong   bool          // its clock is wrong
	cmd     *exec.Cmd
	exited  chan error
	control sync.Mutex // a question and its answer
	stdin   io.Writer
	stdout  *bufio.Reader

	// Guarded by faultCluster.mu.
	addr string
	up   bool // clients may connect
}

// launchTries is how often a node is started if it does not start: on a machine that has very
// much to do, the engines may not respond in time.
const launchTries = 3

// launch starts the process, and returns the address of the node when it accepts connections.
func (n *faultNode) launch(env ...string) (addr string) {
	n.t.Helper()
	var err error
	for range launchTries {
		if addr, err = n.start(env); err == nil {
			return addr
		}
		n.kill()
	}
	n.t.Errorf("node %s does not start: %v", n.name, err)
	return ""
}

func (n *faultNode) start(env []string) (addr string, err error) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(append(os.Environ(), childEnv+"="+n.dir, childStoreEnv+"="+n.store, childNodeEnv+"="+n.name+" "+n.redis,
		"GORACE=halt_on_error=1 "+os.Getenv("GORACE")), env...)
	if n.durable {
		cmd.Env = append(cmd.Env, childDurableEnv+"=1")
	}
	cmd.Stderr = n.log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	n.cmd, n.exited = cmd, make(chan error, 1)
	n.stdin, n.stdout = stdin, bufio.NewReader(stdout)
	line, err := n.stdout.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "error") {
		err = errors.New(line)
	}
	go func() { n.exited <- cmd.Wait() }()
	return strings.TrimSpace(line), err
}

// view asks the node what it knows.
func (n *faultNode) view() (v nodeView) {
	n.control.Lock()
	defer n.control.Unlock()
	_, _ = io.WriteString(n.stdin, "node\n")
	line, err := n.stdout.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(line, &v.self, &v.others, &v.reach, &v.sessions, &v.waiting, &v.stored)
	}
	if err != nil {
		n.t.Fatalf("node %s does not answer: %q, %v", n.name, line, err)
	}
	return v
}

// signal sends a signal to the process.
func (n *faultNode) signal(sig syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(sig); err != nil {
		n.t.Fatal(err)
	}
}

// kill ends the process at once. It may be called again.
func (n *faultNode) kill() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		<-n.exited
		n.cmd = nil
	}
}

// stop stops the node as planned.
func (n *faultNode) stop() {
	n.t.Helper()
	n.control.Lock()
	_, _ = io.WriteString(n.stdin, "stop\n")
	n.control.Unlock()
	err := <-n.exited
	n.cmd = nil
	if err != nil {
		n.t.Fatalf("the stop of node %s has failed: %v", n.name, err)
	}
}

// drain sends all clients away.
func (n *faultNode) drain() {
	n.t.Helper()
	c := api.Local(filepath.Join(n.dir, api.SocketName))
	defer c.Close()
	var d api.Drain
	if err := c.Do(n.t.Context(), http.MethodPost, api.PathDrain, nil, api.DrainRequest{OverSeconds: 1}, &d); err != nil {
		n.t.Fatal(err)
	}
	drained(n.t, c)
}

// stopped reports whether the process is stopped by a signal.
func (n *faultNode) stopped() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	return err == nil && strings.Contains(string(stat), ") T ")
}

// checkLog fails the test if a node has seen a data race or a panic. That what has to be stored
// cannot be is an error in the log, too, but no mistake here.
func (n *faultNode) checkLog() {
	text, err := os.ReadFile(n.log.Name())
	if bad := strings.Contains(string(text), "DATA RACE") || strings.Contains(string(text), "panic"); err != nil || bad || n.t.Failed() {
		n.t.Errorf("node %s has logged (%v)\n%s", n.name, err, text[max(0, len(text)-10000):])
	}
	if err := n.log.Close(); err != nil {
		n.t.Error(err)
	}
}
