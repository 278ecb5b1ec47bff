//go:build linux

package poller

import (
	"os"
	"os/exec"
)

// self is a command that runs this test program once more. Where an emulator runs
// it (make arm64), the kernel cannot, and the emulator is asked to.
func self(args ...string) *exec.Cmd {
	if emulator := os.Getenv("ROOST_TEST_EMULATOR"); emulator != "" {
		return exec.Command(emulator, append([]string{os.Args[0]}, args...)...)
	}
	return exec.Command(os.Args[0], args...)
}
