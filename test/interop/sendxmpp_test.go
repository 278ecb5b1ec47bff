//go:build interop

package interop

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestSendXMPP sends messages with the command go-sendxmpp (0.5), to a recipient that is
// online and to one that is offline.
func TestSendXMPP(t *testing.T) {
	s := newServer(t)
	for _, mode := range []string{"starttls", "direct"} {
		t.Run(mode, func(t *testing.T) {
			users := s.users(t, 2)
			ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
			defer cancel()
			var log logBuffer
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("--- go-sendxmpp:\n%s\n--- the server:\n%s", log.tail(), s.log.tail())
				}
			})
			command := func(user string, more ...string) *exec.Cmd {
				args := []string{"-d", "-u", user, "-p", password, "-j", s.starttls}
				if mode == "direct" {
					args = []string{"-d", "-t", "-u", user, "-p", password, "-j", s.direct}
				}
				cmd := exec.CommandContext(ctx, "go-sendxmpp", append(args, more...)...)
				cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.ca, "HOME="+t.TempDir())
				cmd.Stderr = &log
				return cmd
			}
			send := func(body string) {
				t.Helper()
				cmd := command(users[0], users[1])
				cmd.Stdin = strings.NewReader(body)
				if err := cmd.Run(); err != nil {
					t.Fatalf("go-sendxmpp: %v (install the packages in packages.txt)", err)
				}
			}

			send("while away: <&>\n")
			listener := command(users[1], "-l")
			out, err := listener.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := listener.Start(); err != nil {
				t.Fatal(err)
			}
			heard := make(chan string)
			go func() {
				defer close(heard)
				eachLine(out, func(line string) { heard <- line })
			}()
			await(t, heard, "while away: <&>")
			send("while there: ünïcödé\n")
			await(t, heard, "while there: ünïcödé")
			cancel()
			for range heard {
			}
			_ = listener.Wait()
		})
	}
}

// await reads lines until one contains text.
func await(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	var seen bytes.Buffer
	timeout := time.After(lineTimeout)
	for {
		select {
		case line, more := <-lines:
			if !more {
				t.Fatalf("the output ended before %q:\n%s", text, seen.String())
			}
			if strings.Contains(line, text) {
				return
			}
			seen.WriteString(line + "\n")
		case <-timeout:
			t.Fatalf("timeout while waiting for %q; received:\n%s", text, seen.String())
		}
	}
}
