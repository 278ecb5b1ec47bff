//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/internal/mariatest"
	"roost/internal/pgtest"
)

// TestMigrateProsody: accounts that Prosody has stored in its data directory move to roost.
func TestMigrateProsody(t *testing.T) {
	dir := prosodyIn(t, "internal")
	moved(t, filepath.Join(dir, "data"), "prosody")
}

// TestMigrateProsodySQLite: accounts that Prosody has stored in SQLite move to roost, from the
// database and from a dump.
func TestMigrateProsodySQLite(t *testing.T) {
	file := filepath.Join(prosodyIn(t, "sqlite"), "prosody.sqlite")
	moved(t, file, "prosody")
	moved(t, dumped(t, "sqlite3", file, ".dump"), "prosody")
}

// TestMigrateProsodyPostgres: accounts that Prosody has stored in PostgreSQL move to roost,
// from the database and from a dump.
func TestMigrateProsodyPostgres(t *testing.T) {
	source, err := url.Parse(pgtest.New(t).URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGHOST", source.Query().Get("host"))
	t.Setenv("PGUSER", source.User.Username())
	t.Setenv("PGDATABASE", strings.TrimPrefix(source.Path, "/"))
	prosodyIn(t, "postgres")
	moved(t, "postgres:///", "prosody")
	moved(t, dumped(t, "pg_dump"), "prosody")
}

// TestMigrateProsodyMySQL: accounts that Prosody has stored in MariaDB move to roost.
func TestMigrateProsodyMySQL(t *testing.T) {
	maria := mariatest.Shared(t)
	source := maria.URL(t, "prosody")
	t.Setenv("MYSQL_UNIX_PORT", maria.Socket())
	t.Setenv("MYSQL_USER", mariatest.User)
	t.Setenv("MYSQL_PWD", mariatest.Password)
	t.Setenv("MYSQL_DATABASE", "prosody")
	prosodyIn(t, "mysql")
	moved(t, source.String(), "prosody")
}

// TestMigrateEjabberdMySQL: accounts that ejabberd has stored in MariaDB move to roost, by a
// connection with TLS. They are those of a recorded dump, because Debian's ejabberd needs one
// more package to write them itself.
func TestMigrateEjabberdMySQL(t *testing.T) {
	maria := mariatest.Shared(t)
	source := maria.URL(t, "ejabberd")
	dump, err := os.ReadFile("../../migrate/ejabberd/testdata/mariadb.sql")
	if err != nil {
		t.Fatal(err)
	}
	maria.Exec(t, "ejabberd", string(dump))
	source.RawQuery += "&" + url.Values{"ssl-mode": {"verify-identity"}, "ssl-ca": {maria.Certificate()}}.Encode()
	imported(t, t.TempDir(), source.String(), "ejabberd", "--domain", "localhost")
}

// dumped returns the name of a file with what a program prints.
func dumped(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	file := filepath.Join(t.TempDir(), "dump.sql")
	if err == nil {
		err = os.WriteFile(file, out, 0o600)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return file
}

// prosodyIn runs Prosody with a kind of storage, fills it, and returns the directory that has
// its data.
func prosodyIn(t *testing.T, storage string) string {
	t.Helper()
	dir := t.TempDir()
	config, err := filepath.Abs("migrate/prosody.cfg.lua")
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "data"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &server{starttls: freeAddress(t), log: new(logBuffer)}
	environment := append(os.Environ(), "DIR="+dir, "STORAGE="+storage, "PORT="+portOf(t, s.starttls))
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Env = environment
		return cmd
	}
	for name, password := range migrants("prosody") {
		if out, err := run("prosodyctl", "--config", config, "register", name, "localhost", password).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s.command = func() *exec.Cmd { return run("prosody", "-F", "--config", config) }
	s.start(t)
	inMigrate(t, "fill.py", portOf(t, s.starttls))
	s.stop(t)
	return dir
}

// TestMigrateEjabberd: accounts that ejabberd has exported move to roost.
func TestMigrateEjabberd(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	erlang := ejabberdIn(t, dir, "internal", "")
	export := erlang(fmt.Sprintf("ok = ejabberd_piefxis:export_server(<<%q>>), halt(0).", out))
	if text, err := export.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	files, err := filepath.Glob(out + "/*.xml")
	if err != nil || len(files) != 2 {
		t.Fatalf("%q, %v", files, err)
	}
	slices.SortFunc(files, func(a, b string) int { return len(a) - len(b) }) // the first includes the other
	moved(t, files[0], "ejabberd")
}

// TestMigrateEjabberdSQLite: accounts that ejabberd has stored in SQLite move to roost, from
// the database and from a dump.
func TestMigrateEjabberdSQLite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ejabberd.sqlite")
	if out, err := exec.Command("sqlite3", file, ".read /usr/share/ejabberd/sql/lite.sql").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ejabberdIn(t, dir, "sql", fmt.Sprintf("sql_type: sqlite\nsql_database: %q\ndefault_db: sql\n", file))
	moved(t, file, "ejabberd", "--domain", "localhost")
	moved(t, dumped(t, "sqlite3", file, ".dump"), "ejabberd", "--domain", "localhost")
}

// ejabberdIn runs ejabberd in a directory, with a method of authentication and more lines of
// configuration, and fills it. It returns the function that runs ejabberd with more calls.
func ejabberdIn(t *testing.T, dir, method, more string) func(eval string) *exec.Cmd {
	t.Helper()
	s := &server{starttls: freeAddress(t), log: new(logBuffer)}
	text, err := os.ReadFile("migrate/ejabberd.yml")
	if err == nil {
		config := strings.NewReplacer("PORT", portOf(t, s.starttls), "METHOD", method).Replace(string(text)) + more
		err = os.WriteFile(filepath.Join(dir, "ejabberd.yml"), []byte(config), 0o600)
	}
	libraries, _ := filepath.Glob("/usr/lib/*/ejabberd-*")
	if err != nil || len(libraries) == 0 {
		t.Fatal("no ejabberd: ", err)
	}
	erlang := func(eval string) *exec.Cmd {
		cmd := exec.Command("erl", "-noinput", "-mnesia", "dir", fmt.Sprintf("%q", dir+"/mnesia"), "-eval", "{ok, _} = application:ensure_all_started(ejabberd), "+eval)
		cmd.Env = append(os.Environ(), "EJABBERD_CONFIG_PATH="+dir+"/ejabberd.yml", "EJABBERD_LOG_PATH="+dir+"/ejabberd.log",
			"ERL_LIBS="+filepath.Dir(libraries[0]), "ERL_CRASH_DUMP_BYTES=0", "HOME="+dir)
		return cmd
	}
	var register strings.Builder
	for name, password := range migrants("ejabberd") {
		fmt.Fprintf(&register, "ok = ejabberd_auth:try_register(<<%q>>, <<\"localhost\">>, <<%q>>), ", name, password)
	}
	s.command = func() *exec.Cmd { return erlang(register.String() + "ok.") }
	s.start(t)
	inMigrate(t, "fill.py", portOf(t, s.starttls))
	s.stop(t)
	return erlang
}

// migrants returns the accounts that move from a server, with their passwords. ejabberd refuses
// emoji, as this server does, but Prosody does not.
func migrants(from string) map[string]string {
	all := map[string]string{"juliet": "secret 1", "romeo": "secret 2", "mercutio": "secret 3"}
	if from == "prosody" {
		all["mercutio"] += " \U0001f511"
	}
	return all
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// inMigrate runs a script in folder migrate, and returns what it prints.
func inMigrate(t *testing.T, args ...string) string {
	t.Helper()
	args[0] = filepath.Join("migrate", args[0])
	out, err := exec.Command(python, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", args[0], err, out)
	}
	return string(out)
}

// moved imports the accounts from what another server has stored, and fails unless their
// owners find everything where they log in next.
func moved(t *testing.T, source, from string, flags ...string) {
	t.Helper()
	data := t.TempDir()
	imported(t, data, source, from, flags...)
	s := startRoostIn(t, data, "", new(logBuffer))
	got := inMigrate(t, "check.py", portOf(t, s.direct), migrants(from)["mercutio"])
	if first, _, _ := strings.Cut(got, "\n"); !strings.Contains(first, "SCRAM-SHA-1") || strings.Contains(first, "SCRAM-SHA-256") {
		t.Errorf("offered: %s", first)
	}
	for _, want := range []string{
		"jid='romeo@localhost'", "subscription='to'", "<group>Friends</group>", "name='Romeo &amp; &lt;Co&gt;'", "jid='nurse@example.org'", "ask='subscribe'",
		"<FN>Juliet Capulet</FN>", "<nick>Jul &amp; x</nick>", "<item jid='tybalt@example.org'/>",
		"<body>first &amp; ä</body>", "<delay xmlns='urn:xmpp:delay' from='localhost'", "from='juliet@localhost'",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// imported imports the accounts into a data directory.
func imported(t *testing.T, data, source, from string, flags ...string) {
	t.Helper()
	var stderr bytes.Buffer // has warnings, such as of the environment of the tests
	cmd := exec.Command(buildRoost(t), append([]string{"import", source, "--from", from, "--create", "--data", data}, flags...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), "imported 3 accounts with ") {
		t.Fatalf("%v: %s%s", err, stderr.Bytes(), out)
	}
}
