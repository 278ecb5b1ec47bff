// Package cmdtest is for tests of the programs in cmd. The binary of such a test is
// the program itself when it is started by this package.
package cmdtest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asProgram is set in the environment of a test binary that is to be the program.
const asProgram = "ROOST_TEST_AS_PROGRAM"

// IsProgram reports whether this process is to be the program and not its tests.
// TestMain asks, once: a child process is a test again, unless it is started by
// Program.
func IsProgram() bool {
	is := os.Getenv(asProgram) != ""
	_ = os.Unsetenv(asProgram)
	return is
}

// Program returns the program with arguments and more variables of the environment;
// those of this process that are flags of roost are left out.
func Program(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ROOST_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(append(cmd.Env, asProgram+"=1"), env...)
	return cmd
}

// Result runs the program to its end.
func Result(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := Program(env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}
