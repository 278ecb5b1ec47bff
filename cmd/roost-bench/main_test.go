package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"roost/internal/cmdtest"
	"roost/server"
	"roost/session"
)

// serverDir, in the environment, makes the test binary a server with this data directory,
// so that the server is not in the measuring process.
const serverDir = "ROOST_TEST_SERVER_DIR"

func TestMain(m *testing.M) {
	// A process that the program has started to share its load must also be the program:
	// if it ran the tests, it would start further processes, and so on.
	worker := slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "--worker=") })
	switch dir := os.Getenv(serverDir); {
	case dir != "":
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case cmdtest.IsProgram() || worker:
		os.Exit(run(os.Args[1:]))
	default:
		goleak.VerifyTestMain(m)
	}
}

// serve prints its address and serves until the end of stdin.
func serve(dir string) error {
	s, err := server.New(context.Background(), server.Config{
		Domains: []string{"localhost"}, C2S: "127.0.0.1:0", DataDir: dir,
		Session: session.Config{AllowPlaintext: os.Getenv("ROOST_TEST_TLS") == ""},
	})
	if err != nil {
		return err
	}
	fmt.Println(s.Addrs()[0].Addr)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Shutdown(context.Background())
}

// startServer is a server with its address, data directory and process.
func startServer(t *testing.T, env ...string) (target, data, pid string) {
	t.Helper()
	data = t.TempDir()
	cmd := cmdtest.Program(append(env, serverDir+"="+data))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("the server:", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), data, strconv.Itoa(cmd.Process.Pid)
}

// TestHelp: all usual ways to get help work, and the help explains how to write times. A
// command's own flags come before those that all have.
func TestHelp(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, got, stderr := cmdtest.Result(t, nil, args...)
		if code != 0 || !strings.Contains(got, want) || stderr != "" {
			t.Errorf("%q: exit code %d, %q, %q; want %q", args, code, got, stderr, want)
		}
	}
	f("Usage: roost-bench <command>")
	f("Usage: roost-bench idle", "help", "idle")
	f("ms, s, m and h", "help", "idle")
	f("roost-bench ", "version")
	for command, own := range map[string]string{"idle": "--sessions", "login": "--count", "message": "--pairs", "presence": "--contacts", "reconnect": "--sessions", "resume": "--gap"} {
		_, help, _ := cmdtest.Result(t, nil, "help", command)
		if at := strings.Index(help, own); at < 0 || at > strings.Index(help, "--target") {
			t.Errorf("the help of %s does not begin with its own flags", command)
		}
	}
}
