// Package servers starts roost, Prosody and ejabberd on loopback with the same accounts, for
// comparisons. Prosody and ejabberd are those of Debian.
package servers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"roost/bench/contacts"
	"roost/store/stores"
)

// Config is what a server is to serve: localhost, on loopback.
type Config struct {
	Roost         string // the program
	Dir           string // the server's own directory, which it keeps from one start to the next; it must not exist before the first
	Plain, Direct int    // ports: with STARTTLS, and for TLS from the first byte
	Accounts      int    // user0… with the password "secret"
	Contacts      int    // mutual contacts of each account: its neighbors by number
	Phones        bool   // with stream management, client state and carbons
}

// Server is a running server.
type Server struct {
	cmd *exec.Cmd
	log *os.File
}

// Start starts "roost", "prosody" or "ejabberd". The first start with a directory creates the
// accounts. It returns when the ports are open.
func Start(name string, c Config) (*Server, error) {
	start, ok := map[string]func(Config) (*Server, error){
		"roost": startRoost, "prosody": startProsody, "ejabberd": startEjabberd,
	}[name]
	if !ok {
		return nil, fmt.Errorf("there is no server %q: roost, prosody or ejabberd", name)
	}
	s, err := start(c)
	if err != nil {
		return nil, err
	}
	if err := s.wait(c.Plain, c.Direct); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Kill ends the server at once, with what it has not written.
func (s *Server) Kill() { _ = s.cmd.Process.Kill() }

// PID returns the server's process ID.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// run starts a program with its output in a file.
func (c Config) run(env []string, name string, args ...string) (*Server, error) {
	log, err := os.OpenFile(filepath.Join(c.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	return &Server{cmd, log}, cmd.Start()
}

// Stop ends the server.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
	_ = s.log.Close()
}

// wait waits until the ports are open; importing accounts takes some time.
func (s *Server) wait(ports ...int) error {
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		open := 0
		for _, p := range ports {
			if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p)); err == nil {
				_ = c.Close()
				open++
			}
		}
		if open == len(ports) {
			return nil
		}
		if time.Now().After(end) || s.cmd.Process.Signal(syscall.Signal(0)) != nil {
			_, _ = s.log.Seek(0, io.SeekStart)
			text, _ := io.ReadAll(s.log)
			return fmt.Errorf("the server does not listen: %s", text[max(0, len(text)-2000):])
		}
	}
}

// fill writes a configuration file from a template.
func (c Config) fill(name, text string, data any) (string, error) {
	file := filepath.Join(c.Dir, name)
	var b bytes.Buffer
	if err := template.Must(template.New(name).Parse(text)).Execute(&b, data); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, b.Bytes(), 0o600)
}

// values are what the configuration files need.
func (c Config) values() map[string]any {
	return map[string]any{"Dir": c.Dir, "Plain": c.Plain, "Direct": c.Direct, "Phones": c.Phones}
}

// first reports whether the server is started for the first time, and creates its
// directory if so.
func (c Config) first() (bool, error) {
	if _, err := os.Stat(c.Dir); err == nil {
		return false, nil
	}
	return true, os.MkdirAll(c.Dir, 0o700)
}

func startRoost(c Config) (*Server, error) {
	first, err := c.first()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(c.Dir, "data")
	if first {
		var lines strings.Builder
		for i := range c.Accounts {
			fmt.Fprintf(&lines, "user%d@localhost,secret\n", i)
		}
		imp := exec.Command(c.Roost, "user", "import", "-", "--create", "--data", data)
		imp.Stdin = strings.NewReader(lines.String())
		if out, err := imp.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		if err := contacts.Fill(context.Background(), stores.Default(data), "localhost", c.Accounts, c.Contacts); err != nil {
			return nil, err
		}
	}
	return c.run(nil, c.Roost, "serve", "--data", data, "--allow-plaintext",
		"--c2s", fmt.Sprintf("127.0.0.1:%d", c.Plain), "--c2s-tls", fmt.Sprintf("127.0.0.1:%d", c.Direct))
}

// certificate creates a self-signed certificate of the kind that roost creates: ECDSA
// with P-256.
func (c Config) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pk := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for name, content := range map[string][]byte{"crt.pem": crt, "key.pem": pk, "both.pem": append(pk, crt...)} {
		if err := os.WriteFile(filepath.Join(c.Dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// FreePort returns a port below the ephemeral range, of which a load generator uses
// thousands.
func FreePort() int {
	for range 1000 {
		port := 10000 + mathrand.IntN(20000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	return 0
}
