// Package cmdtest helps to test the programs in cmd. The test binary acts as the program
// when this package starts it.
package cmdtest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asProgram is set in the environment of a test binary that acts as the program.
const asProgram = "ROOST_TEST_AS_PROGRAM"

// IsProgram reports whether this process should act as the program instead of running
// tests. Call it once, from TestMain: a child process runs tests again, unless Program
// has started it.
func IsProgram() bool {
	is := os.Getenv(asProgram) != ""
	_ = os.Unsetenv(asProgram)
	return is
}

// Program returns a command that runs the program with arguments and additional
// environment variables. It removes this process's variables that set flags of roost.
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

// Result runs the program and waits for its exit.
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
