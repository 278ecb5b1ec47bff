package sqlrows

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// mysqlConfig returns how to connect to a database:
//
//	mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?PARAMETERS]
//
// The parameters are those of MySQL's own clients: socket, a file instead of the host; and
// ssl-mode, ssl-ca, ssl-cert and ssl-key (https://dev.mysql.com/doc/refman/8.4/en/connecting-using-uri-or-key-value-pairs.html).
// A password that is not in the URL is in the environment variable MYSQL_PWD.
func mysqlConfig(u *url.URL) (*mysql.Config, error) {
	c := mysql.NewConfig()
	c.Logger = &mysql.NopLogger{}
	if err := c.Apply(mysql.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	if c.DBName = strings.TrimPrefix(u.Path, "/"); c.DBName == "" || strings.Contains(c.DBName, "/") {
		return nil, errors.New("the URL does not name a database: mysql://USER@HOST/DATABASE")
	}
	if c.User = u.User.Username(); c.User == "" {
		return nil, errors.New("the URL does not name a user: mysql://USER@HOST/DATABASE")
	}
	password, ok := u.User.Password()
	if c.Passwd = password; !ok {
		c.Passwd = os.Getenv("MYSQL_PWD")
	}
	host := cmp.Or(u.Hostname(), "localhost")
	c.Net, c.Addr = "tcp", net.JoinHostPort(host, cmp.Or(u.Port(), "3306"))
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the parameters of the URL are not valid")
	}
	var t tlsFiles
	for name, values := range query {
		value := values[0]
		switch name {
		case "socket":
			c.Net, c.Addr = "unix", value
		case "ssl-mode":
			t.mode = strings.ReplaceAll(strings.ToLower(value), "_", "-")
		case "ssl-ca":
			t.ca = value
		case "ssl-cert":
			t.cert = value
		case "ssl-key":
			t.key = value
		default:
			return nil, fmt.Errorf("the URL has a parameter %q: it may have socket, ssl-mode, ssl-ca, ssl-cert and ssl-key", clip(name))
		}
	}
	c.TLS, err = t.config(host)
	c.AllowFallbackToPlaintext = t.mode == "preferred"
	return c, err
}

// tlsFiles are the parameters for TLS of a URL.
type tlsFiles struct{ mode, ca, cert, key string }

// config returns the configuration, nil for none, and sets the mode if there is none.
func (t *tlsFiles) config(host string) (*tls.Config, error) {
	if t.mode == "" {
		if t.mode = "preferred"; t.ca != "" {
			t.mode = "verify-identity"
		}
	}
	c := &tls.Config{ServerName: host}
	if t.ca != "" {
		text, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, fmt.Errorf("ssl-ca: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("ssl-ca: %s has no certificates in PEM", t.ca)
		}
	}
	if t.cert != "" || t.key != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fmt.Errorf("ssl-cert and ssl-key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	switch t.mode {
	case "disabled":
		return nil, nil
	case "preferred", "required":
		c.InsecureSkipVerify = true
	case "verify-ca":
		c.InsecureSkipVerify = true // of the name only: see VerifyConnection
		c.VerifyConnection = func(s tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: c.RootCAs, Intermediates: x509.NewCertPool()}
			for _, other := range s.PeerCertificates[1:] {
				options.Intermediates.AddCert(other)
			}
			_, err := s.PeerCertificates[0].Verify(options)
			return err
		}
	case "verify-identity":
	default:
		return nil, fmt.Errorf("ssl-mode %q: it is one of disabled, preferred, required, verify-ca and verify-identity", clip(t.mode))
	}
	return c, nil
}
