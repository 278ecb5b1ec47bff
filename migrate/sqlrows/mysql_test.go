package sqlrows

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"roost/internal/mariatest"
)

// TestMySQL: the tables of a running MariaDB are read, as text.
func TestMySQL(t *testing.T) {
	s := mariatest.Shared(t)
	u := s.URL(t, "live")
	exec := func(sql string) { s.Exec(t, "live", sql) }
	// Settings of the server that would change what is read.
	s.Exec(t, "", "SET GLOBAL time_zone = '+05:30', sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES', max_statement_time = 50")
	t.Cleanup(func() { s.Exec(t, "", "SET GLOBAL time_zone = '+00:00', sql_mode = '', max_statement_time = 0") })
	exec("SET time_zone = '+00:00'; CREATE TABLE `t ``x` (a VARCHAR(20), b INT, c BOOLEAN, `when` TIMESTAMP NULL, d CHAR(9), e DOUBLE, PRIMARY KEY (b, a)); CREATE TABLE other (a INT); CREATE TABLE empty (a INT);" +
		"CREATE VIEW tv AS SELECT * FROM other; INSERT INTO other VALUES (1), (2);" +
		"INSERT INTO `t ``x` VALUES ('ä🙂', 5, true, '2026-01-02 03:04:05', 'd', 1.5), ('', 6, NULL, NULL, '', NULL);" +
		"CREATE TABLE tb (a BLOB, b TEXT CHARACTER SET latin1); INSERT INTO tb VALUES (X'00ff27', 'ä')")
	got, err := rowsOf(t.Context(), Source{Name: u.String()})
	want := []string{
		`table other unread other`,
		"table t `x a \"\" b \"6\" t `x a=\"\" b=\"6\" c=\"\" when=\"\" d=\"\" e=\"\"",
		"table t `x a \"ä🙂\" b \"5\" t `x a=\"ä🙂\" b=\"5\" c=\"1\" when=\"2026-01-02 03:04:05\" d=\"d\" e=\"1.5\"",
		`table tb row 1 tb a="\x00\xff'" b="ä"`,
	}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s, %v\nwant\n%s", strings.Join(got, "\n"), err, strings.Join(want, "\n"))
	}
	exec("DROP VIEW tv; DROP TABLE `t ``x`, tb, other, empty")
	testLive(t, u.String(), exec)
}

// TestMySQLConnection: a connection is as its URL says, and no error has the password.
func TestMySQLConnection(t *testing.T) {
	s := mariatest.Shared(t)
	u := s.URL(t, "connection")
	s.Exec(t, "connection", "CREATE TABLE t (a INT); INSERT INTO t VALUES (1); CREATE OR REPLACE USER tls IDENTIFIED BY 'p' REQUIRE SSL; GRANT ALL ON *.* TO tls")
	other := t.TempDir() + "/cert.pem"
	if err := os.WriteFile(other, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want string, change func(u *url.URL, q url.Values)) {
		t.Helper()
		changed, q := *u, u.Query()
		change(&changed, q)
		changed.RawQuery = q.Encode()
		got, err := rowsOf(t.Context(), Source{Name: changed.String()})
		if want == "" && (err != nil || len(got) != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: %q, %v; want %s", &changed, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error has the password: %v", err)
		}
	}
	f("", func(u *url.URL, _ url.Values) { u.Scheme = "mariadb" })
	f("Access denied", func(u *url.URL, _ url.Values) { u.User = url.UserPassword(mariatest.User, "another secret") })
	f("Access denied", func(u *url.URL, _ url.Values) { u.User = url.User(mariatest.User) })
	t.Setenv("MYSQL_PWD", mariatest.Password)
	f("", func(u *url.URL, _ url.Values) { u.User = url.User(mariatest.User) })
	f("Unknown database", func(u *url.URL, _ url.Values) { u.Path = "/none" })
	f("does not name a database", func(u *url.URL, _ url.Values) { u.Path = "" })
	f("does not name a database", func(u *url.URL, _ url.Values) { u.Path = "/a/b" })
	f("does not name a user", func(u *url.URL, _ url.Values) { u.User = nil })
	f(`a parameter "tls"`, func(_ *url.URL, q url.Values) { q.Set("tls", "true") })
	f("failed to connect to mysql://roost:xxxxx@", func(_ *url.URL, q url.Values) { q.Set("socket", "/nonexistent") })
	f("failed to connect to", func(u *url.URL, q url.Values) { q.Del("socket"); u.Host = "127.0.0.1:1" })

	tls := func(parameters ...string) func(u *url.URL, q url.Values) {
		return func(u *url.URL, q url.Values) {
			u.User = url.UserPassword("tls", "p") // who may not log in without TLS
			for i := 0; i < len(parameters); i += 2 {
				q.Set(parameters[i], parameters[i+1])
			}
		}
	}
	f("", tls())
	f("", tls("ssl-mode", "REQUIRED"))
	f("Access denied", tls("ssl-mode", "disabled"))
	f("certificate signed by unknown authority", tls("ssl-mode", "verify-ca"))
	f("certificate signed by unknown authority", tls("ssl-mode", "VERIFY_IDENTITY"))
	f("", tls("ssl-ca", s.Certificate()))
	f("", tls("ssl-ca", s.Certificate(), "ssl-mode", "verify-ca"))
	wrongHost := func(mode string) func(*url.URL, url.Values) {
		return func(u *url.URL, q url.Values) {
			tls("ssl-ca", s.Certificate(), "ssl-mode", mode)(u, q)
			u.Host = "other.example"
		}
	}
	f("", wrongHost("verify-ca"))
	f("not other.example", wrongHost("verify-identity"))
	f(`ssl-mode "yes": it is one of`, tls("ssl-mode", "yes"))
	f("ssl-ca: open /nonexistent", tls("ssl-ca", "/nonexistent"))
	f("has no certificates in PEM", tls("ssl-ca", other))
	f("ssl-cert and ssl-key: ", tls("ssl-cert", other, "ssl-key", other))
}
