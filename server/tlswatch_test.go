package server

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/internal/xmpptest"
)

// renewal is an operator's certificate, whose files are replaced one after the other.
type renewal struct {
	t         *testing.T
	cert, key string // files
	versions  time.Duration
}

// newPair returns the text of a new certificate and of its key.
func (r *renewal) newPair() (cert, key []byte) {
	r.t.Helper()
	dir := r.t.TempDir()
	cfg, _ := certConfig(r.t, dir, "localhost")
	if _, err := NewCertificates(cfg); err != nil {
		r.t.Fatal(err)
	}
	certFile, keyFile := SelfSignedFiles(dir)
	return r.read(certFile), r.read(keyFile)
}

func (r *renewal) read(name string) []byte {
	r.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

// write replaces a file. Each version has a time of its own.
func (r *renewal) write(name string, text []byte) {
	r.t.Helper()
	r.versions += time.Second
	when := time.Now().Add(-time.Hour + r.versions)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chtimes(name, when, when); err != nil {
		r.t.Fatal(err)
	}
}

func newRenewal(t *testing.T) *renewal {
	r := &renewal{t: t}
	r.cert, r.key = SelfSignedFiles(t.TempDir())
	cert, key := r.newPair()
	r.write(r.cert, cert)
	r.write(r.key, key)
	return r
}

// TestWatchCertificates: a certificate that was renewed is used when the key is new as well,
// and not before; each change that cannot be used is logged once, and unchanged files are
// not read.
func TestWatchCertificates(t *testing.T) {
	r := newRenewal(t)
	cfg, log := certConfig(t, t.TempDir(), "localhost")
	cfg.TLSCert, cfg.TLSKey = []string{r.cert}, []string{r.key}
	c, err := NewCertificates(cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := leafOf(c, "localhost")
	check := func(what string, want string, renewed bool) {
		t.Helper()
		log.Reset()
		c.checkFiles()
		if got := log.String(); strings.Count(got, "\n") != min(1, len(want)) || !strings.Contains(got, want) {
			t.Errorf("%s: log %q, want one line with %q, or none", what, got, want)
		}
		if leafOf(c, "localhost").Equal(first) == renewed {
			t.Errorf("%s: renewed: %v, want %v", what, !renewed, renewed)
		}
	}
	const cannot, reloaded = "cannot be used", "certificates reloaded"
	check("unchanged", "", false)
	cert, key := r.newPair()
	r.write(r.cert, cert)
	check("certificate without its key", cannot, false)
	check("the same again", "", false)
	r.write(r.cert, cert[:len(cert)/2])
	check("half a certificate", cannot, false)
	if err := os.Remove(r.cert); err != nil {
		t.Fatal(err)
	}
	check("no certificate", cannot, false)
	check("still none", "", false)
	r.write(r.cert, cert)
	r.write(r.key, key)
	check("certificate and key", reloaded, true)
	check("unchanged again", "", true)

	// A change of the size or of the file itself is seen, too.
	first = leafOf(c, "localhost")
	cert, key = r.newPair()
	stamp := c.seen[0].modified
	for name, text := range map[string][]byte{r.cert: cert, r.key: key} {
		if err := os.WriteFile(name+".new", append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name+".new", stamp, stamp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	check("renamed files with the old times", reloaded, true)
}

// TestStamps: a change of the time, of the size or of the file itself is seen, whichever of
// the files it is.
func TestStamps(t *testing.T) {
	dir := t.TempDir()
	s := certSource{certFiles: []string{filepath.Join(dir, "cert")}, keyFiles: []string{filepath.Join(dir, "key")}}
	when := time.Unix(1e9, 0)
	write := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(name, []byte(text), 0o600), os.Chtimes(name, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{s.certFiles[0], s.keyFiles[0]} {
		last := s.stamps()
		step := func(what string, change func()) {
			t.Helper()
			change()
			now := s.stamps()
			if slices.Equal(now, last) {
				t.Errorf("%s: %s is not seen", filepath.Base(name), what)
			}
			if last = now; !slices.Equal(s.stamps(), last) {
				t.Errorf("%s: after %s it changes by itself", filepath.Base(name), what)
			}
		}
		step("a new file", func() { write(name, "a") })
		step("a new size", func() { write(name, "ab") })
		step("a new time", func() { when = when.Add(time.Second); write(name, "ac") })
		step("another file", func() {
			write(name+".new", "ad") // the old one stays, so that its inode does
			if err := errors.Join(os.Rename(name, name+".old"), os.Rename(name+".new", name)); err != nil {
				t.Fatal(err)
			}
		})
		step("no file", func() {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestWatchInBackground: a running server notices by itself, and shows the new certificate.
func TestWatchInBackground(t *testing.T) {
	tick := ticks(t, watchInterval)
	r := newRenewal(t)
	var log lockedLog
	s := startServer(t, func(c *Config) {
		c.TLSCert, c.TLSKey, c.Logger = []string{r.cert}, []string{r.key}, slog.New(slog.NewTextHandler(&log, nil))
	})
	first := leafOf(s.certs, "localhost")
	cert, key := r.newPair()
	r.write(r.cert, cert)
	r.write(r.key, key)
	tick(watchInterval)
	xmpptest.Eventually(t, "the certificates to be reloaded", func() bool { return strings.Contains(log.String(), "certificates reloaded") })
	if leafOf(s.certs, "localhost").Equal(first) {
		t.Error("the certificate is the old one")
	}
}
