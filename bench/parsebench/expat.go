package parsebench

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed expat/expat.c
var expatSource []byte

// BuildExpat compiles the small program that times expat into dir. It fails if there is
// no C compiler, or if expat's header and library are not installed (on Debian: gcc,
// libexpat1-dev).
func BuildExpat(dir string) (program string, err error) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return "", errors.New("no C compiler")
	}
	source := filepath.Join(dir, "expat.c")
	if err := os.WriteFile(source, expatSource, 0o600); err != nil {
		return "", fmt.Errorf("parsebench: expat: %w", err)
	}
	program = filepath.Join(dir, "expat")
	if out, err := exec.Command(compiler, "-O2", "-o", program, source, "-lexpat").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %.200s", err, bytes.TrimSpace(out))
	}
	return program, nil
}

// runExpat times expat in the same way as the other implementations.
func runExpat(c *Corpus, cfg *Config) (*timing, error) {
	times := max(1, minPass/len(c.Data))
	cmd := exec.Command(cfg.Expat, strconv.Itoa(cfg.Chunk), strconv.Itoa(times), strconv.Itoa(min(cfg.Rounds, slowest)))
	cmd.Stdin = bytes.NewReader(c.Data)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(errs.Bytes()))
	}
	var ns, stanzas, allocs int64
	if _, err := fmt.Sscan(string(out), &ns, &stanzas, &allocs); err != nil {
		return nil, fmt.Errorf("parsebench: expat: %w", err)
	}
	if stanzas != int64(c.Stanzas) {
		return nil, fmt.Errorf("found %d elements, want %d", stanzas, c.Stanzas)
	}
	return &timing{name: Expat, best: time.Duration(ns), allocs: float64(allocs)}, nil
}
