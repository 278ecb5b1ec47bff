//go:build interop

package interop

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// scriptTime bounds one scenario.
const scriptTime = 90 * time.Second

// notOffered is the exit status of a script that needs what the server does not
// offer. Ours has to offer it.
const notOffered = 77

// scratch is where the test run puts what it builds.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "roost-interop-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		os.RemoveAll(scratch)
		os.Exit(status)
	}))
}

// A script is a client that plays a whole scenario by itself. It is told the
// server and its accounts by the environment, may order the server stopped and
// started (lines "@stop" and "@start"), and ends with status 0 if all was well.
type script struct {
	desc string
	argv []string
	env  []string
}

// run plays the script with three accounts of its own.
func (sc script) run(t *testing.T, s *server) {
	t.Helper()
	users := s.users(t, 3)
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, sc.argv[0], sc.argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(),
		"INTEROP_STARTTLS="+s.starttls,
		"INTEROP_TLS="+s.direct,
		"INTEROP_DOMAIN="+s.domain,
		"INTEROP_CA="+s.ca,
		"INTEROP_PASSWORD="+password,
		"INTEROP_USER_A="+users[0],
		"INTEROP_USER_B="+users[1],
		"INTEROP_USER_C="+users[2],
		"PYTHONDONTWRITEBYTECODE=1",
	)
	cmd.Env = append(cmd.Env, sc.env...)
	var log logBuffer
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	mark := s.log.mark()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (the packages in packages.txt have to be installed)", err)
	}
	eachLine(stdout, func(line string) {
		switch line {
		case "@stop":
			s.stop(t)
			io.WriteString(stdin, "ok\n")
		case "@start":
			s.start(t)
			io.WriteString(stdin, "ok\n")
		default:
			t.Log(line)
		}
	})
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() == notOffered && s.lenient {
		t.Skip("the server under test does not offer it")
	}
	if err != nil {
		t.Errorf("%s: %v\n--- the client:\n%s\n--- the server:\n%s", filepath.Base(sc.argv[0]), err, log.tail(), s.log.since(mark))
	}
}

// runAll plays scripts against one server, two at a time where there are two
// processors: each has accounts of its own.
func runAll(t *testing.T, s *server, scripts []script) {
	for _, sc := range scripts {
		t.Run(sc.desc, func(t *testing.T) {
			t.Parallel()
			sc.run(t, s)
		})
	}
}
