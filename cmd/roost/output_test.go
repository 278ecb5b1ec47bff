package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// smallPipe is a pipe with a buffer of 4 KB.
func smallPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// servingTo starts a server that logs to stderr at debug and returns its address.
func servingTo(t *testing.T, stderr *os.File, args ...string) (cmd *exec.Cmd, addr string) {
	t.Helper()
	args = append([]string{"serve", "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", t.TempDir(), "--log-level", "debug"}, args...)
	cmd = cmdtest.Program(nil, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var text string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text += lines.Text() + "\n"
		if strings.Contains(lines.Text(), "Ctrl-C") {
			break
		}
	}
	addr = regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(text)
	if addr == "" {
		t.Fatalf("no address in the greeting:\n%s", text)
	}
	return cmd, addr
}

// visit opens a stream, reads the response and disconnects without closing the stream,
// which the server logs at debug level.
func visit(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	openStream(t, conn)
}

// openStream opens a stream and reads the response.
func openStream(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if _, err := conn.Read(make([]byte, 1024)); err != nil {
		t.Fatalf("the server does not respond: %v", err)
	}
}

// visits creates a log far larger than a small pipe.
const visits = 200

// TestStalledLogReader: if the reader of the log stalls, the server keeps serving and can
// stop.
func TestStalledLogReader(t *testing.T) {
	_, w := smallPipe(t)
	cmd, addr := servingTo(t, w)
	for range visits {
		visit(t, addr)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v, want a clean end", err)
	}
}

// TestDroppedLines: when a stalled reader continues, the log itself contains the number
// of dropped lines.
func TestDroppedLines(t *testing.T) {
	r, w := smallPipe(t)
	stderr, logger, flags := os.Stderr, slog.Default(), log.Flags()
	os.Stderr = w
	o := openOutput(slog.LevelInfo, false)
	t.Cleanup(func() {
		os.Stderr = stderr
		slog.SetDefault(logger)
		log.SetOutput(stderr) // package slog has changed it
		log.SetFlags(flags)
		signal.Reset(syscall.SIGPIPE)
	})
	const written = 3000
	filler := strings.Repeat("x", 1024) // all lines together are three times the size of the queue
	for range written {
		o.log.Info(filler)
	}
	arrived, dropped := 0, 0
	for lines := bufio.NewScanner(r); dropped == 0 && lines.Scan(); {
		if strings.Contains(lines.Text(), filler) {
			arrived++
		} else if _, err := fmt.Sscanf(lines.Text()[strings.Index(lines.Text(), "lines="):], "lines=%d", &dropped); err != nil || !strings.Contains(lines.Text(), "level=WARN msg=\"log lines dropped") {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
	}
	if arrived+dropped != written || arrived == 0 {
		t.Errorf("%d lines arrived and %d were reported as dropped, of %d", arrived, dropped, written)
	}
	o.close()
}

// TestLogReaderGone: the server continues after the reader of its log has exited.
func TestLogReaderGone(t *testing.T) {
	r, w := smallPipe(t)
	cmd, addr := servingTo(t, w)
	r.Close()
	w.Close()
	for range visits {
		visit(t, addr)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v, want a clean end", err)
	}
}

// TestJSONThroughout: with --log-format json every line on stderr is JSON, including an
// error at the start.
func TestJSONThroughout(t *testing.T) {
	r, w := smallPipe(t)
	cmd, addr := servingTo(t, w, "--log-format", "json")
	w.Close()
	ended, lines := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			var line map[string]any
			if err := json.Unmarshal(s.Bytes(), &line); err != nil {
				t.Errorf("%q is not JSON: %v", s.Text(), err)
			}
			if line["msg"] == "session ended" && line["reason"] == "lost" && line["err"] == "EOF" {
				close(ended)
			}
		}
	}()
	visit(t, addr)
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Error("no line has the reason for the end of the session")
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	<-lines

	code, _, stderr := cmdtest.Result(t, nil, "serve", "--log-format", "json", "--c2s", addrInUse(t), "--c2s-tls", "", "--data", filepath.Join(t.TempDir(), "data"))
	var line map[string]any
	if err := json.Unmarshal([]byte(stderr), &line); code != cli.ExitFailure || err != nil || line["level"] != "ERROR" || line["err"] == "" {
		t.Errorf("exit code %d, stderr %q: want one line of JSON with the error", code, stderr)
	}
}

// addrInUse is an address on which another socket is listening.
func addrInUse(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
