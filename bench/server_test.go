package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"roost/bench/contacts"
	"roost/internal/pgtest"
	"roost/store/stores"
)

// roost is a server in its own process.
type roost struct {
	t        testing.TB
	program  string
	data     string
	args     []string  // of serve
	cmd      *exec.Cmd // nil: it does not run
	killed   bool      // on purpose
	profiled bool      // whether it serves profiles; recording for them takes some memory
	starttls string    // address
	direct   string
	web      string
	profiles string
}

// startRoost builds the program, creates accounts user0 to user<n-1> with the password
// "secret", and starts the server with default flags.
func startRoost(t testing.TB, accounts int, args ...string) *roost {
	t.Helper()
	return startRoostWith(t, accounts, 0, args...)
}

// startRoostWith gives each account this many mutual contacts: its neighbors by number.
func startRoostWith(t testing.TB, accounts, perAccount int, args ...string) *roost {
	t.Helper()
	r := newRoost(t, accounts, perAccount)
	r.serve(args...)
	return r
}

// newRoost builds the program and creates accounts for it.
func newRoost(t testing.TB, accounts, perAccount int) *roost {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "roost")
	if out, err := exec.Command("go", "build", "-o", program, "roost/cmd/roost").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var lines strings.Builder
	for i := range accounts {
		fmt.Fprintf(&lines, "user%d@localhost,secret\n", i)
	}
	data := filepath.Join(dir, "data")
	imp := exec.Command(program, "user", "import", "-", "--create", "--data", data)
	imp.Stdin = strings.NewReader(lines.String())
	if out, err := imp.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if perAccount > 0 {
		if err := contacts.Fill(t.Context(), stores.Default(data), "localhost", accounts, perAccount); err != nil {
			t.Fatal(err)
		}
	}
	return &roost{t: t, program: program, data: data, profiled: true}
}

// serve starts the server.
func (r *roost) serve(args ...string) {
	t := r.t
	t.Helper()
	r.args = args
	if r.profiled {
		args = append([]string{"--pprof", "127.0.0.1:0"}, args...)
	}
	r.cmd = exec.Command(r.program, append([]string{"serve", "--data", r.data, "--c2s", "127.0.0.1:0", "--c2s-tls", "127.0.0.1:0",
		"--allow-plaintext", "--log-level", "warn"}, args...)...)
	r.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ROOST_") }) // they are this test's
	r.cmd.Stderr = os.Stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	address := regexp.MustCompile(`^  (?:XMPP clients \()?(STARTTLS|direct TLS|WebSocket|profiles)\)? +(\S+)$`)
	for scan := bufio.NewScanner(out); scan.Scan(); {
		if m := address.FindStringSubmatch(scan.Text()); m != nil {
			*map[string]*string{"STARTTLS": &r.starttls, "direct TLS": &r.direct, "WebSocket": &r.web, "profiles": &r.profiles}[m[1]] = m[2]
		}
		if strings.Contains(scan.Text(), "Ctrl-C") {
			return
		}
	}
	t.Fatal("the server ended")
}

// copyToPostgres copies the accounts to a new PostgreSQL database, and returns its URL. It skips the
// test if there is no PostgreSQL.
func (r *roost) copyToPostgres() string {
	r.t.Helper()
	url := pgtest.Shared(r.t).URL(r.t)
	if out, err := exec.Command(r.program, "store", "copy", "--from", stores.Default(r.data), "--to", url).CombinedOutput(); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	return url
}

// startNodes starts some nodes of a cluster, with data directories of their own.
func (r *roost) startNodes(n int, store, cluster string) (nodes []*roost) {
	r.t.Helper()
	for i := range n {
		node := &roost{t: r.t, program: r.program, data: r.t.TempDir()}
		if err := os.Chmod(node.data, 0o700); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(node.data, "secret"), bytes.Repeat([]byte("s"), 32), 0o600); err != nil {
			r.t.Fatal(err)
		}
		node.serve("--store", store, "--cluster", cluster, "--node", fmt.Sprintf("node%d", i))
		nodes = append(nodes, node)
	}
	return nodes
}

// stop stops the server if it runs.
func (r *roost) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	if err := r.cmd.Wait(); err != nil && !r.killed {
		r.t.Errorf("the server: %v", err)
	}
	r.cmd = nil
}

// restart replaces the process by a new one with the same flags.
func (r *roost) restart() {
	r.t.Helper()
	r.stop()
	r.serve(r.args...)
}

func (r *roost) usage() Usage {
	r.t.Helper()
	u, err := ReadExactUsage(r.cmd.Process.Pid)
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

// heap collects the server's garbage and returns the size of its heap.
func (r *roost) heap() (bytes, objects int64) {
	r.t.Helper()
	text := r.profile("heap?gc=1&debug=1")
	f := func(name string) int64 {
		m := regexp.MustCompile(`# ` + name + ` = (\d+)`).FindSubmatch(text)
		if m == nil {
			r.t.Fatalf("no %s in the heap profile", name)
		}
		n, _ := strconv.ParseInt(string(m[1]), 10, 64)
		return n
	}
	return f("HeapAlloc"), f("HeapObjects")
}

// heapState returns the server's memory by use, as reported by Go's runtime, without
// collecting first.
func (r *roost) heapState() string {
	r.t.Helper()
	all := regexp.MustCompile(`# ((?:Heap|Stack|MSpan|Sys|NumGC)\w*) = (.*)`).FindAllString(string(r.profile("heap?debug=1")), -1)
	return strings.ReplaceAll(strings.Join(all, ", "), "# ", "")
}

func (r *roost) profile(name string) []byte {
	r.t.Helper()
	answer, err := http.Get(r.profiles + name)
	if err != nil {
		r.t.Error(err)
		return nil
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Error(err)
	}
	return content
}

// save stores a profile in a file.
func (r *roost) save(file, name string) {
	if err := os.WriteFile(file, r.profile(name), 0o600); err != nil {
		r.t.Error(err)
	}
}
