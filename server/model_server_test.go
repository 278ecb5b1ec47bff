package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
	"roost/store/stores"
)

// childModelEnv makes a child a server for TestDeliveryModel, which it controls by lines on
// its standard input.
const childModelEnv = "ROOST_TEST_MODEL"

// modelConfig is the configuration of such a server: short times, and pages that are smaller
// than what is stored.
func modelConfig(cfg Config) Config {
	cfg.Session.AckTimeout, cfg.Session.AckInterval = modelAckTimeout, 20*time.Millisecond
	cfg.Session.ResumeTimeout = modelResumeTimeout
	cfg.Router.PageBytes, cfg.Router.MaxOffline, cfg.Router.OfflineShare = 2<<10, 1<<20, 100
	cfg.Router.OfflineBytes = 1 << 30
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return cfg
}

// controlChild obeys lines from the test: "stop" stops the server as planned, "sessions"
// prints the number of sessions, "account NAME" whether the account has any, "patience TIME"
// sets how long clients may take to acknowledge, and prints it, and "node" prints what a node
// knows.
func controlChild(s *Server) int {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch command, name, _ := strings.Cut(in.Text(), " "); command {
		case "stop":
			ctx, cancel := context.WithTimeout(context.Background(), xmpptest.WaitLimit)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "level=ERROR the stop failed:", err)
				return 1
			}
			return 0
		case "sessions":
			fmt.Println(s.sessions.Counts().Bound)
		case "account":
			fmt.Println(s.sessions.First(name) != nil)
		case "patience":
			cfg := s.config().session()
			cfg.AckTimeout, _ = time.ParseDuration(name)
			s.sessions.SetConfig(cfg)
			fmt.Println(cfg.AckTimeout)
		case "node":
			fmt.Print(nodeState(s))
		}
	}
	return 0
}

// disturb kills the server or stops it as planned, and starts it again.
func (m *deliveryModel) disturb() {
	if m.over() {
		return
	}
	looked, stored := m.look()
	saved := false // sessions may have been, before the server is killed
	choice := m.random.IntN(10)
	if m.disturbed < 2 { // each run has at least a planned stop and a kill
		choice = [...]int{9, 0}[m.disturbed]
	}
	m.disturbed++
	switch {
	case choice < 4:
		m.kill()
		m.counts.kills++
	default:
		m.mu.Lock()
		m.up, m.stopping = false, true
		m.mu.Unlock()
		m.control.Lock()
		_, _ = io.WriteString(m.stdin, "stop\n")
		m.control.Unlock()
		if choice < 6 { // killed while it stops
			left := m.random.IntN(len(m.clients) + 1)
			m.wait("some connections to end", func() bool { return m.conns <= left })
			if m.kill() {
				m.counts.killedStops++
				saved = true
				break
			}
		} else {
			m.ended()
		}
		m.counts.stops++ // perhaps it was faster than the kill
		if choice == 6 { // killed while it starts
			looked, stored = m.look()
			_, _ = m.launch(m.random.IntN(2) == 0)
			m.kill()
			m.counts.kills++
			saved = true
			break
		}
		m.start()
		return
	}
	m.mu.Lock()
	m.killed(stored, looked, saved)
	m.mu.Unlock()
	m.start()
}

// look returns the IDs of the stored messages, and when it began to look.
func (m *deliveryModel) look() (began int, ids map[string]bool) {
	m.mu.Lock()
	began = m.tick()
	m.mu.Unlock()
	ids = make(map[string]bool)
	st, err := stores.Open(m.t.Context(), stores.Default(m.dir), store.Options{})
	if err != nil {
		m.t.Error(err)
		return began, ids
	}
	defer func() { _ = st.Close() }()
	for _, a := range m.accounts {
		for after, more := int64(0), true; more; {
			var msgs []store.OfflineMessage
			msgs, more, err = st.Offline(m.t.Context(), jid.MustParse(a.name+"@localhost"), after, 1<<20)
			if err != nil {
				m.t.Error(err)
				break
			}
			for _, x := range msgs {
				after = x.ID
				_, id, _ := strings.Cut(string(x.Stanza), " id='")
				id, _, _ = strings.Cut(id, "'")
				ids[id] = true
			}
		}
	}
	return began, ids
}

// kill kills the server, if it runs. It returns false if the server has ended by itself.
func (m *deliveryModel) kill() bool {
	m.mu.Lock()
	m.up, m.stopping = false, true
	m.cond.Broadcast()
	m.mu.Unlock()
	if m.cmd == nil {
		return false
	}
	_ = m.cmd.Process.Kill()
	return m.ended()
}

// ended waits until the server has ended, and the clients have received what it had sent. It
// returns true if the server was killed.
func (m *deliveryModel) ended() (killed bool) {
	err := <-m.exited
	m.cmd = nil
	m.wait("all connections to end", func() bool { return m.conns == 0 })
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() {
		return true
	}
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.errorf("the server has ended: %v", err)
	}
	return false
}

// launch starts a process. If wait is true, it returns the line that the process prints when
// it accepts connections.
func (m *deliveryModel) launch(wait bool) (line string, err error) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+m.dir, childModelEnv+"=1", "GORACE=halt_on_error=1 "+os.Getenv("GORACE"))
	if m.durable {
		cmd.Env = append(cmd.Env, childDurableEnv+"=1")
	}
	cmd.Stderr = m.log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	m.cmd, m.exited = cmd, exited
	m.control.Lock()
	defer m.control.Unlock()
	m.stdin, m.stdout = stdin, bufio.NewReader(stdout)
	if wait {
		line, err = m.stdout.ReadString('\n')
	}
	return line, err
}

// start starts the server and lets the clients connect.
func (m *deliveryModel) start() {
	line, err := m.launch(true)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || strings.HasPrefix(line, "error") {
		m.errorf("the server does not start: %q, %v", line, err)
		return
	}
	m.addr, m.up, m.stopping = strings.TrimSpace(line), true, false
	m.starts++
	m.cond.Broadcast()
}

// question sends the server a line and returns its answer, "" if it has ended.
func (m *deliveryModel) question(line string) string {
	m.control.Lock()
	defer m.control.Unlock()
	_, _ = io.WriteString(m.stdin, line+"\n")
	answer, _ := m.stdout.ReadString('\n')
	return strings.TrimSpace(answer)
}

// patience sets how long the server waits for an acknowledgement.
func (m *deliveryModel) patience(d time.Duration) {
	if got := m.question("patience " + d.String()); got != d.String() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.errorf("the server waits for an acknowledgement for %q, want %v", got, d)
	}
}

// sessionsGone waits until the server has no session of an account. It returns false if the
// server ends before.
func (m *deliveryModel) sessionsGone(a *modelAccount) bool {
	for {
		switch m.question("account " + a.name + "@localhost") {
		case "false":
			return true
		case "true":
			m.pass(1) // there is no event to wait for
		default:
			return false
		}
	}
}
