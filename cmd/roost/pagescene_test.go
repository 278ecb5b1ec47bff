package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/internal/cmdtest"
	"roost/internal/pgtest"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// scene is where the commands of the pages run: a server with accounts; PostgreSQL and Redis;
// and what other servers have left.
type scene struct {
	*testing.T
	root   string // stands for the root of the file system
	work   string // the current directory
	env    []string
	page   []string // variables that the page has exported
	c2s    string
	pg     *pgtest.Server
	redis  *redistest.Server
	server *exec.Cmd
}

// settings are those of the server.
const settings = "domain = [\"example.org\"]\ninvitations = \"operators\"\n"

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{T: t, root: t.TempDir(), work: t.TempDir(), pg: pgtest.Shared(t), redis: redistest.Start(t)}
	for _, database := range []string{"roost", "prosody", "ejabberd"} {
		t.Cleanup(func() { s.pg.Exec(t, "DROP DATABASE IF EXISTS "+database) })
	}
	bin := filepath.Join(s.root, "bin")
	// The programs of the machine's administrator, but for those that others have.
	s.write("bin/roost", "#!/bin/sh\nROOST_TEST_AS_PROGRAM=1 exec '"+os.Args[0]+"' \"$@\"\n")
	s.write("bin/go", "#!/bin/sh\n[ \"$1 $2\" = 'run ./cmd/roost' ] && shift 2 && exec roost \"$@\"\n")
	s.write("bin/mysqldump", "#!/bin/sh\ncat '"+s.migrated("prosody/testdata/prosody.sql")+"'\n")
	s.write("etc/roost/roost.toml", settings)
	s.write("etc/roost/drop.txt", "192.0.2.0/24 ; SBL1\n")
	s.write("etc/roost/blocked.txt", "mallory@example.org # spam\n")
	s.write("var/backups/roost/none", "")
	s.copied("var/lib/prosody", "prosody/testdata/data")
	s.copied("var/tmp/ejabberd", "pie/testdata/ejabberd")
	if err := os.Rename(s.path("var/tmp/ejabberd/server.xml"), s.path("var/tmp/ejabberd/20261129-113047.xml")); err != nil {
		t.Fatal(err)
	}
	s.sqlite("var/lib/prosody/prosody.sqlite", "prosody/testdata/prosody.sql")
	s.sqlite("var/lib/ejabberd/ejabberd.sqlite", "ejabberd/testdata/ejabberd.sql")
	// By the environment, which the command line overrides, not by changed commands.
	s.env = append(cmdtest.Program(nil).Env, "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+s.work,
		"ROOST_C2S=127.0.0.1:0", "ROOST_C2S_TLS=", "PGHOST="+s.pg.Dir(), "PGUSER=roost")
	if err := os.Symlink(s.path("var/lib/roost"), filepath.Join(s.work, "roost-data")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.path("var/lib/roost"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.accounts("romeo")
	server := exec.Command(filepath.Join(bin, "roost"), "serve", "--config", s.path("etc/roost/roost.toml"), "--allow-plaintext", "--data", s.path("var/lib/roost"))
	server.Env, s.server = s.env, server
	s.c2s = regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(started(t, server))
	return s
}

func (s *scene) path(name string) string { return filepath.Join(s.root, name) }

// migrated returns a file that other servers have written.
func (s *scene) migrated(name string) string {
	s.Helper()
	name, err := filepath.Abs(filepath.Join("../../migrate", name))
	if err != nil {
		s.Fatal(err)
	}
	return name
}

func (s *scene) write(name, text string) {
	s.Helper()
	err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755)
	if err == nil {
		err = os.WriteFile(s.path(name), []byte(text), 0o755)
	}
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) copied(to, from string) {
	s.Helper()
	if err := os.CopyFS(s.path(to), os.DirFS(s.migrated(from))); err != nil {
		s.Fatal(err)
	}
}

// sqlite makes an SQLite database of a dump.
func (s *scene) sqlite(name, dump string) {
	s.Helper()
	s.write(name, "")
	c, err := sqlite.OpenConn(s.path(name), sqlite.OpenReadWrite)
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	script := strings.NewReplacer("BEGIN TRANSACTION;\n", "", "COMMIT;\n", "").Replace(contentOf(s.T, s.migrated(dump))) // ExecuteScript has its own
	if err := sqlitex.ExecuteScript(c, script, nil); err != nil {
		s.Fatal(err)
	}
}

// accounts creates the accounts that do not exist, and two that nobody has used for years.
func (s *scene) accounts(names ...string) {
	s.Helper()
	const keys = `"created":"2020-01-02T15:04:05Z","password":"secret"}`
	lines := `{"format":"roost accounts","version":1}` + "\n"
	for _, name := range names {
		lines += `{"jid":"` + name + `@example.org","password":"secret"}` + "\n"
	}
	lines += `{"jid":"mercutio@example.org",` + keys + "\n" +
		`{"jid":"tybalt@example.org","last_online":{"at":"2021-01-02T15:04:05Z"},` + keys + "\n" + fmt.Sprintf("{\"accounts\":%d}\n", len(names)+2)
	s.write("accounts", lines)
	s.sh("roost import '" + s.path("accounts") + "' --any-domain --create --data '" + s.path("var/lib/roost") + "'")
}

// sh prepares something by a command.
func (s *scene) sh(line string) {
	s.Helper()
	if shown, err := s.command(line).CombinedOutput(); err != nil {
		s.Fatalf("%s: %v\n%s", line, err, shown)
	}
}

func (s *scene) command(line string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-ec", line)
	cmd.Dir, cmd.Env = s.work, append(s.env[:len(s.env):len(s.env)], s.page...)
	return cmd
}

// startPage makes what the text of a page presupposes.
func (s *scene) startPage(t *testing.T, name, text string) {
	t.Helper()
	s.T, s.page = t, nil
	if strings.Contains(text, "\nexport ROOST_DATA=/var/lib/roost\n") {
		s.page = []string{"ROOST_DATA=" + s.path("var/lib/roost")}
	}
	if name != "docs/storage.md" { // by then the server was stopped
		config := settings
		if name == "README.md" || name == "docs/migrate.md" { // what others have left is for localhost
			config = strings.Replace(settings, "example.org", `example.org", "localhost`, 1)
		}
		s.write("etc/roost/roost.toml", config)
		s.sh("roost reload --data '" + s.path("var/lib/roost") + "'")
	}
	switch name {
	case "README.md":
		s.write("accounts.csv", "nurse@example.org,secret\n")
		s.sh("mv '" + s.path("accounts.csv") + "' .; roost user del romeo@example.org")
		return
	case "docs/abuse.md":
		s.sh("echo tybalt@example.org > names.txt")
	case "docs/backup.md":
		s.sh("createdb roost; roost user import accounts.csv --any-domain --create --store '" + s.url("roost") + "'")
	case "docs/migrate.md":
		s.sh("createdb prosody; createdb ejabberd; psql --quiet ejabberd < '" + s.migrated("ejabberd/testdata/postgres.sql") + "'")
		s.sh("grep -E '^(CREATE TABLE IF NOT EXISTS|INSERT INTO) .?prosody.? ' '" + s.migrated("prosody/testdata/prosody.sql") + "' | psql --quiet prosody")
	case "docs/registration.md":
		return // it invites juliet, who has no account yet
	case "docs/storage.md":
		late := time.AfterFunc(xmpptest.WaitLimit, func() { _ = s.server.Process.Kill() })
		if err := s.server.Wait(); err != nil || !late.Stop() {
			s.Errorf("docs/upgrade.md has not stopped the server: %v", err)
		}
		s.sh("dropdb roost; createdb roost")
		return
	}
	s.accounts("romeo", "juliet")
}

// url returns the URL of a database of PostgreSQL.
func (s *scene) url(database string) string {
	return "postgres://roost@/" + database + "?host=" + s.pg.Dir()
}

var (
	place           = regexp.MustCompile(`(^|[\s:'"=])/(var|etc)/`)
	foreignDatabase = regexp.MustCompile(`postgres://\w+@db\.example\.org/(\w+)`)
	// port matches the ports of listeners.
	port = regexp.MustCompile(`:(5280|5443|6060)\b`)
	// settingLine matches a line of a config file.
	settingLine = regexp.MustCompile(`^[a-z-]+ = `)
	// live matches commands that run until Ctrl-C, with what they show.
	live = regexp.MustCompile(`^(?:go run \./cmd/)?roost (serve|trace)\b`)
)

// runBlock runs the lines of a block, but for those that skip selects.
func (s *scene) runBlock(b cmdtest.Block, skip func(line string) bool) {
	s.Helper()
	switch {
	case settingLine.MatchString(b.Text):
		s.write("block.toml", "domain = \"example.org\"\n"+b.Text)
		s.run("roost config check " + s.path("block.toml"))
		return
	case strings.HasPrefix(b.Text, "GRANT "):
		s.write("block.sql", b.Text)
		s.run("psql --set=ON_ERROR_STOP=1 --file='" + s.path("block.sql") + "' roost")
		return
	case strings.HasPrefix(b.Text, "createdb"):
		s.sh("dropdb roost; mkdir roost-new")
		s.run(`roost restore "$(ls ` + s.path("var/backups/roost") + `/*.tar | tail -1)" --data roost-new`)
	}
	for line := range strings.Lines(b.Text) {
		if line = strings.TrimSuffix(line, "\n"); !skip(line) {
			s.run(line)
		}
	}
}

// run runs one line as it is typed at a terminal.
func (s *scene) run(line string) {
	s.Helper()
	asWritten := line
	line = place.ReplaceAllString(line, "${1}"+s.root+"/$2/")
	line = foreignDatabase.ReplaceAllStringFunc(line, func(u string) string { return "'" + s.url(foreignDatabase.FindStringSubmatch(u)[1]) + "'" })
	line = strings.NewReplacer("redis://roost:PASSWORD@redis.example.org", s.redis.URL(), "…", "",
		"curl ", "curl --silent --show-error --fail-with-body ").Replace(port.ReplaceAllString(line, ":0"))
	m := live.FindStringSubmatch(line)
	if m == nil {
		p := cmdtest.CommandOnTerminal(s.T, s.command(line))
		shown := p.Answer(map[string]string{"Password: ": "secret\r", "Repeat password: ": "secret\r"})
		err := p.Cmd.Wait()
		if strings.HasPrefix(line, "roost check ") && p.Cmd.ProcessState.ExitCode() == 1 && strings.Contains(shown, "sessions") {
			err = nil // this machine is too small for a million
		}
		if err != nil || strings.TrimSpace(shown) == "" && !silent.MatchString(line) {
			s.Errorf("%s: %v\n%s", asWritten, err, shown)
		}
		return
	}
	cmd := s.command("exec " + line)
	until := "is traced until"
	if m[1] == "serve" {
		until = "Ctrl-C stops the server"
		cmd.Env = append(cmd.Env, "ROOST_DATA="+s.TempDir())
	} else {
		loginTo(s.T, s.c2s, "example.org", "AHJvbWVvAHNlY3JldA==", "phone")
	}
	p := cmdtest.CommandOnTerminal(s.T, cmd)
	p.Until(until)
	p.Types("\x03")
	p.Ends(0)
}

// silent matches commands that show nothing if they succeed.
var silent = regexp.MustCompile(`^(createdb|pg_restore|curl .* -X DELETE) `)
