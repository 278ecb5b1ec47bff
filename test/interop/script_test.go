//go:build interop

package interop

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// scriptTime limits the time of a scenario.
const scriptTime = 90 * time.Second

// notOffered is the exit status of a script that needs a feature which the server does not
// offer. roost must offer all of them.
const notOffered = 77

// scratch is the directory for programs that the tests build.
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

// script is a client that runs a complete scenario. The environment has the addresses of the
// server and the accounts. The script may ask to stop and start the server (lines "@stop"
// and "@start"), and to cut the connections that it makes to INTEROP_NETWORK (see
// network.obey). It exits with status 0 if it succeeds.
type script struct {
	desc string
	argv []string
	env  []string
}

// run runs the script with three new accounts.
func (sc script) run(t *testing.T, s *server) {
	t.Helper()
	users := s.users(t, 3)
	s, network := s.front(t)
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
		"INTEROP_NETWORK="+network.address,
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
		t.Fatalf("%v (install the packages in packages.txt)", err)
	}
	eachLine(stdout, func(line string) {
		order, ok := strings.CutPrefix(line, "@")
		switch {
		case !ok:
			t.Log(line)
			return
		case order == "stop":
			s.stop(t)
		case order == "start":
			s.start(t)
		case !network.obey(order):
			t.Errorf("the script orders %q", line)
		}
		io.WriteString(stdin, "ok\n")
	})
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() == notOffered && s.lenient {
		t.Skip("the server under test does not offer this feature")
	}
	if err != nil {
		t.Errorf("%s: %v\n--- the client:\n%s\n--- the server:\n%s", filepath.Base(sc.argv[0]), err, log.tail(), s.log.since(mark))
	}
}

// runAll runs scripts in parallel against one server.
func runAll(t *testing.T, s *server, scripts []script) {
	for _, sc := range scripts {
		t.Run(sc.desc, func(t *testing.T) {
			t.Parallel()
			sc.run(t, s)
		})
	}
}
