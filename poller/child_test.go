//go:build linux

package poller

import (
	"os"
	"os/exec"
)

// self returns a command that runs this test binary once more. Under an emulator (make
// arm64), the kernel cannot execute it, so the command runs the emulator.
func self(args ...string) *exec.Cmd {
	if emulator := os.Getenv("ROOST_TEST_EMULATOR"); emulator != "" {
		return exec.Command(emulator, append([]string{os.Args[0]}, args...)...)
	}
	return exec.Command(os.Args[0], args...)
}
