package acme

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// renewalWindow is the part of a certificate's lifetime at its end in which it is renewed.
const renewalWindow = 1.0 / 3

// Times of attempts.
const (
	attemptTime = 30 * time.Minute // limit of one; a change of the DNS may take minutes to be seen
	firstRetry  = 5 * time.Minute  // after the first failure; doubled with each further one
	lastRetry   = 6 * time.Hour
	maxSleep    = time.Hour // the clock may be set meanwhile
)

// maxReason limits the text of an error, parts of which the authority writes, in bytes.
const maxReason = 600

// Status is the state of the certificate of a domain.
type Status struct {
	Domain   string    // as in certificates
	Expires  time.Time // of the certificate that was obtained; zero: there is none yet
	NextTry  time.Time // when the next one is obtained
	Failures int       // attempts that have failed since the last that succeeded
	Reason   string    // why the last one has failed; empty without failures
	FailedAt time.Time // when it has failed; zero without failures
}

// Manager gets certificates and renews them.
type Manager struct {
	cfg     Config
	log     *slog.Logger
	cache   *certmagic.Cache
	magic   *certmagic.Config
	issuer  *certmagic.ACMEIssuer
	wake    chan struct{} // has an element when the domains have changed
	done    sync.WaitGroup
	closers []func() error

	mu       sync.Mutex
	domains  map[string]*Status
	obtained func(domain string)
}

// New returns a Manager for a valid configuration. It answers challenges on the listener, which
// it closes at the end; nil if the configuration needs none of its own.
func New(cfg Config, listener net.Listener, log *slog.Logger) (*Manager, error) {
	roots, err := cfg.roots()
	if err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	binding, err := cfg.binding()
	if err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	m := &Manager{cfg: cfg, log: log, wake: make(chan struct{}, 1), domains: make(map[string]*Status)}
	quiet := zap.NewNop() // errors are returned, and logged here
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return m.magic, nil }, Logger: quiet,
	})
	m.magic = certmagic.New(m.cache, certmagic.Config{
		Storage: &storage{certmagic.FileStorage{Path: cfg.Dir}}, Issuers: []certmagic.Issuer{nobody{}},
		RenewalWindowRatio: renewalWindow, DisableARI: true, OCSP: certmagic.OCSPConfig{DisableStapling: true}, Logger: quiet,
	})
	m.issuer = certmagic.NewACMEIssuer(m.magic, certmagic.ACMEIssuer{
		CA: cfg.url(), Email: cfg.Email, Agreed: cfg.Agree, TrustedRoots: roots, ExternalAccount: binding, Logger: quiet,
		DisableHTTPChallenge: cfg.HTTP == "", DisableTLSALPNChallenge: cfg.TLS == "",
	})
	if cfg.DNS != "" {
		m.issuer.DNS01Solver = dnsProgram(cfg.DNS)
	}
	m.magic.Issuers = []certmagic.Issuer{unattended{m.issuer}}
	switch {
	case listener == nil:
	case cfg.HTTP != "":
		m.ListensOn(listener.Addr())
		m.serveHTTP(listener)
	default:
		m.ListensOn(listener.Addr())
		m.serveTLS(listener)
	}
	return m, nil
}

// unattended is an issuer that does not ask for an e-mail address on the terminal.
type unattended struct{ *certmagic.ACMEIssuer }

// PreCheck implements certmagic.PreChecker.
func (u unattended) PreCheck(ctx context.Context, names []string, _ bool) error {
	return u.ACMEIssuer.PreCheck(ctx, names, false)
}

// Issue implements certmagic.Issuer. If the authority no longer knows the account,
// certmagic makes a new one, but tries again with the old one, and returns an error that does
// not say so. With the new account it succeeds.
func (u unattended) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	cert, err := u.ACMEIssuer.Issue(ctx, csr)
	if err != nil && err.Error() == "no certificate chains" {
		cert, err = u.ACMEIssuer.Issue(ctx, csr)
	}
	return cert, err
}

// nobody is the issuer of a configuration that is not complete yet: it issues nothing.
type nobody struct{ certmagic.Issuer }

// ListensOn says where challenges are answered, before Run is called: certmagic would answer
// them itself if it found that nobody listens there.
func (m *Manager) ListensOn(a net.Addr) {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		panic("acme: BUG: " + err.Error())
	}
	n, _ := strconv.Atoi(port)
	m.issuer.ListenHost, m.issuer.AltHTTPPort, m.issuer.AltTLSALPNPort = host, n, n
}

// Run gets certificates when they are needed, until ctx ends. It calls obtained after each
// that it has got, or has found that another node has.
func (m *Manager) Run(ctx context.Context, obtained func(domain string)) {
	m.obtained = obtained
	for {
		domain, at := m.next()
		timer := time.NewTimer(min(max(0, time.Until(at)), maxSleep))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-m.wake:
			timer.Stop()
			continue
		case <-timer.C:
		}
		if domain != "" && !time.Now().Before(at) {
			m.try(ctx, domain)
		}
	}
}

// Close closes the listener. Run must have returned.
func (m *Manager) Close() {
	for _, f := range m.closers {
		_ = f()
	}
	m.done.Wait()
	m.cache.Stop()
}

// SetDomains says for which domains, as in certificates, there must be one.
func (m *Manager) SetDomains(domains []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.domains
	m.domains = make(map[string]*Status)
	for _, d := range domains {
		s := old[d]
		if s == nil {
			s = &Status{Domain: d, NextTry: time.Now()}
		}
		if leaf, err := m.read(d); err == nil && !leaf.NotAfter.Equal(s.Expires) { // another node may have got it
			m.schedule(s, leaf)
		}
		m.domains[d] = s
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// serves reports whether there must be a certificate for a domain.
func (m *Manager) serves(domain string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.domains[strings.ToLower(domain)] != nil
}

// Status returns the state of all domains, in the order of their names.
func (m *Manager) Status() (all []Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.domains {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Domain, b.Domain) })
	return all
}

// next returns the domain whose certificate is needed first, and when; without domains a time
// far away.
func (m *Manager) next() (domain string, at time.Time) {
	at = time.Now().Add(maxSleep)
	for _, s := range m.Status() {
		if domain == "" || s.NextTry.Before(at) {
			domain, at = s.Domain, s.NextTry
		}
	}
	return domain, at
}

// read reads the certificate that was obtained for a domain. The error is fs.ErrNotExist if
// there is none.
func (m *Manager) read(domain string) (*x509.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(m.cfg.Files(domain))
	if err != nil {
		return nil, err
	}
	return pair.Leaf, nil
}

// writeTime is more than another node needs to write a certificate after its key.
const writeTime = 5 * time.Second

// readWritten is read for a directory in which another node may be writing: until it has written
// both, the key does not belong to the certificate.
func (m *Manager) readWritten(ctx context.Context, domain string) (leaf *x509.Certificate, err error) {
	if leaf, err = m.read(domain); err == nil || errors.Is(err, fs.ErrNotExist) {
		return leaf, err
	}
	select {
	case <-time.After(writeTime):
	case <-ctx.Done():
	}
	return m.read(domain)
}

// schedule notes a certificate and when it is renewed. Under mu.
func (m *Manager) schedule(s *Status, leaf *x509.Certificate) {
	*s = Status{Domain: s.Domain, Expires: leaf.NotAfter, NextTry: m.renewal(leaf)}
}

// renewal is when a certificate is renewed.
func (m *Manager) renewal(leaf *x509.Certificate) time.Time {
	window := time.Duration(float64(leaf.NotAfter.Sub(leaf.NotBefore)) * renewalWindow)
	return leaf.NotAfter.Add(time.Second - window) // certmagic has it begin a second earlier
}

// try gets a certificate for a domain, which has none or one that is to be renewed.
func (m *Manager) try(ctx context.Context, domain string) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	was, err := m.readWritten(ctx, domain)
	if errors.Is(err, fs.ErrNotExist) {
		err = m.magic.ObtainCertSync(ctx, domain)
	} else {
		err = m.magic.RenewCertSync(ctx, domain, err != nil) // also one that cannot be used
	}
	var leaf *x509.Certificate
	if err == nil {
		leaf, err = m.read(domain)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the server stops
	}
	m.mu.Lock()
	s := m.domains[domain]
	if s == nil { // no longer needed
		m.mu.Unlock()
		return
	}
	switch due := err == nil && !time.Now().Before(m.renewal(leaf)); {
	case due && was.Equal(leaf):
		err = errors.New("it was not renewed")
	case due: // without a pause, the next would be obtained at once
		err = errors.New("the new certificate is to be renewed already: is the clock of this machine right?")
	}
	if err == nil {
		m.schedule(s, leaf)
	} else {
		m.failed(s, err)
	}
	now := *s
	m.mu.Unlock()
	m.report(&now, leaf)
}

// failed notes a failure. Under mu.
func (m *Manager) failed(s *Status, err error) {
	s.Failures++
	s.Reason, s.FailedAt = reason(err, s.Domain), time.Now()
	wait := min(firstRetry<<min(s.Failures-1, 10), lastRetry)
	s.NextTry = s.FailedAt.Add(wait - time.Duration(rand.Int64N(int64(wait/10)))) // not all nodes at once
}

// reason is the text of an error without what certmagic says before it, and in one line.
func reason(err error, domain string) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, before := range []string{"[" + domain + "] Obtain: ", "[" + domain + "] Renew: ", "[" + domain + "] "} {
		text = strings.TrimPrefix(text, before)
	}
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}

// report logs the result of an attempt, and says that there is a certificate.
func (m *Manager) report(s *Status, leaf *x509.Certificate) {
	if s.Failures == 0 {
		m.log.Info("a certificate was obtained by ACME", "domain", s.Domain, "not_after", leaf.NotAfter.UTC().Format(time.RFC3339), "next_try", s.NextTry.UTC().Format(time.RFC3339))
		m.obtained(s.Domain)
		return
	}
	message := "no certificate could be obtained by ACME; the server uses another one meanwhile, which clients may not trust"
	if !s.Expires.IsZero() {
		message = "a certificate could not be renewed by ACME; the present one stays in use"
	}
	m.log.Warn(message, "domain", s.Domain, "err", s.Reason, "failures", s.Failures, "next_try", s.NextTry.UTC().Format(time.RFC3339), "see", "docs/certificates.md")
}
