package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
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

// setup is the configuration of a server.
type setup struct {
	roost         string // the program
	dir           string // the server's own directory; kept from one scenario to the next
	plain, direct int    // ports
	accounts      int    // user0… with the password "secret"
	contacts      int    // mutual contacts of each account: its neighbors by number
	phones        bool   // with stream management, client state and carbons
}

// server is a running server.
type server struct {
	cmd *exec.Cmd
	log *os.File
}

var starters = map[string]func(setup) (*server, error){
	"roost": startRoost, "prosody": startProsody, "ejabberd": startEjabberd,
}

// run starts a program with its output in a file.
func (s setup) run(env []string, name string, args ...string) (*server, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	return &server{cmd, log}, cmd.Start()
}

// stop ends the server.
func (s *server) stop() {
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
func (s *server) wait(ports ...int) error {
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
func (s setup) fill(name, text string, data any) (string, error) {
	file := filepath.Join(s.dir, name)
	var b bytes.Buffer
	if err := template.Must(template.New(name).Parse(text)).Execute(&b, data); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, b.Bytes(), 0o600)
}

// values are what the configuration files need.
func (s setup) values() map[string]any {
	return map[string]any{"Dir": s.dir, "Plain": s.plain, "Direct": s.direct, "Phones": s.phones}
}

// first reports whether the server is started for the first time, and creates its
// directory if so.
func (s setup) first() (bool, error) {
	if _, err := os.Stat(s.dir); err == nil {
		return false, nil
	}
	return true, os.MkdirAll(s.dir, 0o700)
}

func startRoost(s setup) (*server, error) {
	first, err := s.first()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	if first {
		var lines strings.Builder
		for i := range s.accounts {
			fmt.Fprintf(&lines, "user%d@localhost,secret\n", i)
		}
		imp := exec.Command(s.roost, "user", "import", "-", "--create", "--data", data)
		imp.Stdin = strings.NewReader(lines.String())
		if out, err := imp.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		if err := contacts.Fill(context.Background(), stores.Default(data), "localhost", s.accounts, s.contacts); err != nil {
			return nil, err
		}
	}
	return s.run(nil, s.roost, "serve", "--data", data, "--allow-plaintext",
		"--c2s", fmt.Sprintf("127.0.0.1:%d", s.plain), "--c2s-tls", fmt.Sprintf("127.0.0.1:%d", s.direct))
}

//go:embed prosody.cfg.lua
var prosodyConfig string

func startProsody(s setup) (*server, error) {
	first, err := s.first()
	if err != nil {
		return nil, err
	}
	if first {
		if err := errors.Join(s.prosodyAccounts(), s.prosodyRosters()); err != nil {
			return nil, err
		}
		if err := s.certificate(); err != nil {
			return nil, err
		}
	}
	config, err := s.fill("prosody.cfg.lua", prosodyConfig, s.values())
	if err != nil {
		return nil, err
	}
	return s.run(nil, "prosody", "-F", "--config", config)
}

// prosodyAccounts writes the accounts in the format of Prosody's module
// auth_internal_hashed. All have the same salt, which makes no difference to the clients.
func (s setup) prosodyAccounts() error {
	dir := filepath.Join(s.dir, "data", "localhost", "accounts")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	const salt, iterations = "a salt of the benchmark", 10000
	salted, err := pbkdf2.Key(sha1.New, "secret", []byte(salt), iterations, sha1.Size)
	if err != nil {
		return err
	}
	sign := func(key []byte, text string) []byte {
		h := hmac.New(sha1.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha1.Sum(sign(salted, "Client Key"))
	text := fmt.Sprintf("return {\n\t[\"iteration_count\"] = %d;\n\t[\"salt\"] = %q;\n\t[\"stored_key\"] = %q;\n\t[\"server_key\"] = %q;\n};\n",
		iterations, salt, hex.EncodeToString(stored[:]), hex.EncodeToString(sign(salted, "Server Key")))
	for i := range s.accounts {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("user%d.dat", i)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// prosodyRosters writes the rosters in the format of Prosody's internal storage.
func (s setup) prosodyRosters() error {
	if s.contacts == 0 {
		return nil
	}
	dir := filepath.Join(s.dir, "data", "localhost", "roster")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i := range s.accounts {
		var b strings.Builder
		b.WriteString("return {\n\t[false] = { [\"version\"] = 1; [\"pending\"] = {}; };\n")
		for _, n := range contacts.Neighbours(i, s.accounts, s.contacts) {
			fmt.Fprintf(&b, "\t[\"user%d@localhost\"] = { [\"subscription\"] = \"both\"; [\"name\"] = %q; [\"groups\"] = {}; };\n", n, contacts.Name)
		}
		b.WriteString("};\n")
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("user%d.dat", i)), []byte(b.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

//go:embed ejabberd.yml
var ejabberdConfig string

func startEjabberd(s setup) (*server, error) {
	first, err := s.first()
	if err != nil {
		return nil, err
	}
	config, err := s.fill("ejabberd.yml", ejabberdConfig, s.values())
	if err != nil {
		return nil, err
	}
	args := []string{"+K", "true", "+P", "250000", "-noinput", "-mnesia", "dir", fmt.Sprintf("%q", filepath.Join(s.dir, "mnesia")), "-s", "ejabberd"}
	env := []string{"EJABBERD_CONFIG_PATH=" + config, "EJABBERD_LOG_PATH=" + filepath.Join(s.dir, "ejabberd.log"), "ERL_LIBS=" + erlLibs(),
		"ERL_MAX_PORTS=32000", "ERL_MAX_ETS_TABLES=1400", "ERL_CRASH_DUMP_BYTES=0", "HOME=" + s.dir}
	if first {
		if err := s.certificate(); err != nil {
			return nil, err
		}
		if err := s.ejabberdAccounts(args, env); err != nil {
			return nil, err
		}
	}
	return s.run(env, "erl", args...)
}

// erlLibs returns the directory of ejabberd's modules on Debian.
func erlLibs() string {
	all, _ := filepath.Glob("/usr/lib/*/ejabberd-*")
	if len(all) == 0 {
		return "/usr/lib"
	}
	return filepath.Dir(all[0])
}

// ejabberdAccounts starts ejabberd once to import the accounts (XEP-0227).
func (s setup) ejabberdAccounts(args, env []string) error {
	var b strings.Builder
	b.WriteString("<?xml version='1.0'?><server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>")
	for i := range s.accounts {
		fmt.Fprintf(&b, "<user name='user%d' password='secret'>", i)
		if s.contacts > 0 {
			b.WriteString("<query xmlns='jabber:iq:roster'>")
			for _, n := range contacts.Neighbours(i, s.accounts, s.contacts) {
				fmt.Fprintf(&b, "<item jid='user%d@localhost' name='%s' subscription='both'/>", n, contacts.Name)
			}
			b.WriteString("</query>")
		}
		b.WriteString("</user>")
	}
	b.WriteString("</host></server-data>")
	file := filepath.Join(s.dir, "users.xml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return err
	}
	eval := fmt.Sprintf("ok = ejabberd_piefxis:import_file(<<%q>>), mnesia:sync_log(), ejabberd:stop(), halt(0).", file)
	cmd := exec.Command("erl", append(args, "-eval", eval)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("importing accounts: %w: %s", err, out[max(0, len(out)-2000):])
	}
	return nil
}

// certificate creates a self-signed certificate of the kind that roost creates: ECDSA
// with P-256.
func (s setup) certificate() error {
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
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
