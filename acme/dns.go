package acme

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// Limits of the program that changes records.
const (
	programTime   = 10 * time.Minute // until the record is seen everywhere
	cleanupTime   = 5 * time.Second  // to remove a record while the server stops
	programOutput = 2000             // bytes of its output that an error has
)

// dnsProgram makes and removes the TXT records of DNS-01 challenges by a program, which is
// run with three arguments: present or cleanup, the name of the record with a dot at its
// end, and its text. It ends with status 0 when all servers of the zone have the record.
type dnsProgram string

// Present implements acmez.Solver.
func (p dnsProgram) Present(ctx context.Context, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	return p.run(ctx, "present", c)
}

// CleanUp implements acmez.Solver. The record is removed also if ctx has ended.
func (p dnsProgram) CleanUp(ctx context.Context, c acme.Challenge) error {
	limit := programTime
	if ctx.Err() != nil {
		limit = cleanupTime
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return p.run(ctx, "cleanup", c)
}

func (p dnsProgram) run(ctx context.Context, what string, c acme.Challenge) error {
	var out limitedBuffer
	cmd := exec.CommandContext(ctx, string(p), what, c.DNS01TXTRecordName()+".", c.DNS01KeyAuthorization())
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second                                                                              // its children may keep the output open
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ROOST_") }) // such as passwords
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s %s.: %w: %s", p, what, c.DNS01TXTRecordName(), err, bytes.TrimSpace(out.b))
	}
	return nil
}

// limitedBuffer keeps the first programOutput bytes.
type limitedBuffer struct{ b []byte }

// Write implements io.Writer.
func (l *limitedBuffer) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), programOutput-len(l.b))]...)
	return len(p), nil
}
