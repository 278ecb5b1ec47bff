package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"roost/internal/cmdtest"
	"roost/internal/pgtest"
	"roost/jid"
	"roost/store"
	"roost/store/stores"
)

// romeo and julietPlain are SASL PLAIN responses with the password secret.
const (
	romeoPlain  = "AHJvbWVvAHNlY3JldA=="
	julietPlain = "AGp1bGlldABzZWNyZXQ="
)

// TestBackup: a server that runs on a restored backup has the accounts, their messages and
// the certificate. The server that was backed up tells when.
func TestBackup(t *testing.T) {
	running, dir, addr := servingAccounts(t, "romeo@localhost", "juliet@localhost")
	romeo := loginTo(t, addr, "localhost", romeoPlain, "r")
	romeo.ask("<message to='juliet@localhost' type='chat'><body>wherefore</body></message><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
	f := runner(t, dir)
	f(0, "last backup    none by roost backup", "status")
	backups := t.TempDir()
	f(2, "--keep needs a directory that exists", "backup", filepath.Join(backups, "b.tar"), "--keep", "1")
	f(0, `roost-\d{8}T\d{6}Z\.tar: .* of 2 accounts, `, "backup", backups, "--keep", "1")
	f(0, `last backup    \d+ s ago, .*: `+backups+"/roost-", "status")
	all, err := filepath.Glob(filepath.Join(backups, "*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%q, %v", all, err)
	}
	if err := os.Rename(all[0], filepath.Join(backups, "roost-20260101T000000Z.tar")); err != nil {
		t.Fatal(err)
	}
	f(0, `deleted `+backups+"/roost-20260101", "backup", backups, "--keep", "1")
	all, err = filepath.Glob(filepath.Join(backups, "*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%q, %v", all, err)
	}
	f(1, "not empty", "restore", all[0])

	to := filepath.Join(t.TempDir(), "new", "data")
	f = runner(t, to)
	f(0, "restored to "+to+": roost.db, secret, domains, selfsigned.crt, selfsigned.key\n", "restore", all[0])
	for _, name := range []string{"secret", "selfsigned.key"} {
		before, err := os.ReadFile(filepath.Join(dir, name))
		after, e := os.ReadFile(filepath.Join(to, name))
		if err != nil || e != nil || string(before) != string(after) {
			t.Errorf("%s: %v, %v, or they differ", name, err, e)
		}
	}
	restored, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", to)
	juliet := loginTo(t, regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting), "localhost", julietPlain, "j")
	juliet.ask("<presence/>", "<body>wherefore</body>")
	for _, cmd := range []*exec.Cmd{running, restored} {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}

	// Without a server.
	file := filepath.Join(backups, "b.tar")
	f(0, "b.tar: .* of 2 accounts, ", "backup", file)
	link := filepath.Join(to, "acme", "link")
	if err := errors.Join(os.Mkdir(filepath.Dir(link), 0o700), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	f(0, "b.tar: .* of 2 accounts, .*\nroost: not in the backup: "+link+", ", "backup", file)
	if err := os.WriteFile(filepath.Join(to, "restore.partial"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f(1, "interrupted: run roost restore again", "serve", "--c2s", "127.0.0.1:0", "--c2s-tls", "")
	f(1, "there is no database "+dir+"/none", "backup", file, "--store", stores.Default(filepath.Join(dir, "none")))
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(text[:len(text)/2], text[len(text)/2+1:]...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	f = runner(t, empty)
	f(1, "b.tar: the backup is damaged", "restore", file)
	f(1, "there is no database in", "user", "list")
}

// TestBackupAsOwner: root, who backs up the data of a user into a directory of that user,
// leaves nothing that is root's, and follows no link; into that of a third user it writes
// nothing.
func TestBackupAsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("root is needed")
	}
	const user, third = 65532, 65533
	top, err := os.MkdirTemp("", "roost-owner-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	mkdir := func(name string, uid int) string {
		dir := filepath.Join(top, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, uid, uid)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	data, backups, others, roots := mkdir("data", user), mkdir("backups", user), mkdir("others", third), mkdir("roots", 0)
	f := runner(t, data)
	list := filepath.Join(roots, "list")
	if err := os.WriteFile(list, []byte("romeo@localhost,secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(0, "1 account", "user", "import", list, "--create")
	// The server's user has led the name of the copy to a file of root.
	if err := os.Symlink(list, filepath.Join(backups, "b.tar.partial")); err != nil {
		t.Fatal(err)
	}
	f(1, "b.tar.partial is a symbolic link", "backup", filepath.Join(backups, "b.tar"))
	if err := os.Remove(filepath.Join(backups, "b.tar.partial")); err != nil {
		t.Fatal(err)
	}
	f(0, "b.tar: .* of 1 account", "backup", filepath.Join(backups, "b.tar"))
	f(0, "c.tar: .* of 1 account", "backup", filepath.Join(roots, "c.tar"))
	f(1, "others belongs to user 65533: as root, use a directory of root, or of user 65532, to whom "+data+" belongs", "backup", others)
	mine := filepath.Join(roots, "new")
	runner(t, mine)(0, "the files belong to root: .*\n  chown -R roost:roost "+mine+"\n", "restore", filepath.Join(backups, "b.tar"))
	if out := runner(t, mkdir("theirs", user))(0, "restored to", "restore", filepath.Join(backups, "b.tar")); strings.Contains(out, "chown") {
		t.Error(out)
	}
	for name, want := range map[string]uint32{"backups/b.tar": user, "roots/c.tar": 0} {
		if st, err := owner(filepath.Join(top, name)); err != nil || st.Uid != want {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
	for _, dir := range []string{data, backups} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if st, err := owner(filepath.Join(dir, e.Name())); err != nil || st.Uid != user {
				t.Errorf("%s in %s: %+v, %v", e.Name(), dir, st, err)
			}
		}
	}
}

// TestBecome: whoever root becomes has the environment of that user, and not that of root, whose
// files the user cannot read; without an entry for the user, there is none.
func TestBecome(t *testing.T) {
	if uid, err := strconv.Atoi(os.Getenv("ROOST_TEST_BECOME")); err == nil { // the child
		if err := become(&syscall.Stat_t{Uid: uint32(uid), Gid: uint32(uid)}); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%d %q %q %q\n", os.Getuid(), os.Getenv("HOME"), os.Getenv("USER"), os.Getenv("LOGNAME"))
		return
	}
	if os.Getuid() != 0 {
		t.Skip("root is needed")
	}
	f := func(uid, want string) {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=^TestBecome$")
		cmd.Env = append(os.Environ(), "ROOST_TEST_BECOME="+uid, "HOME=/root", "USER=root", "LOGNAME=root")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want+"\n") {
			t.Errorf("%s: %v, %s; want %s", uid, err, out, want)
		}
	}
	if daemon, err := user.Lookup("daemon"); err == nil {
		f(daemon.Uid, fmt.Sprintf("%s %q %[3]q %[3]q", daemon.Uid, daemon.HomeDir, "daemon"))
	}
	f("65533", `65533 "" "" ""`)
}

// TestCopiedFile: somebody who has copied the file of a database in use, and finds no
// accounts in the copy, is told why.
func TestCopiedFile(t *testing.T) {
	dir := t.TempDir()
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte("romeo@localhost,secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runner(t, dir)(0, "1 account", "user", "import", list)
	text, err := os.ReadFile(filepath.Join(dir, stores.FileName))
	to := t.TempDir()
	if err == nil {
		err = os.WriteFile(filepath.Join(to, stores.FileName), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	runner(t, to)(0, "no accounts.*roost.db-wal.*roost backup", "user", "list")
}

// TestBackupPostgreSQL: the backup of a server with a database of PostgreSQL has the dump,
// which pg_restore loads.
func TestBackupPostgreSQL(t *testing.T) {
	pg := pgtest.Shared(t)
	url, dir := pg.URL(t), t.TempDir()
	if _, err := runUser(t, "romeo@localhost,secret\n", "import", "-", "--any-domain", "--data", dir, "--store", url); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, to := filepath.Join(t.TempDir(), "b.tar"), t.TempDir()
	runner(t, dir)(0, "b.tar: .* of 1 account, ", "backup", file, "--store", url)
	out := runner(t, to)(0, "restored to "+to+": roost.dump, secret\n", "restore", file)
	command := strings.Fields(out[strings.Index(out, "pg_restore"):])
	schema := regexp.MustCompile(`search_path=(\w+)`).FindStringSubmatch(url)[1]
	pg.Exec(t, "DROP SCHEMA "+schema+" CASCADE")
	for i, arg := range command {
		command[i] = strings.ReplaceAll(arg, "URL", regexp.MustCompile(`&?(search_path|pool_max_conns)=\w+`).ReplaceAllString(url, ""))
	}
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", command, err, out)
	}
	s, err := stores.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.ListAccounts(t.Context(), "", jid.JID{}, 10)
	if err != nil || len(all) != 1 || all[0].JID.String() != "romeo@localhost" {
		t.Errorf("%v, %v", all, err)
	}
	code, _, stderr := cmdtest.Result(t, []string{"PATH=" + t.TempDir()}, "backup", file, "--store", url, "--data", dir)
	if code != 1 || !strings.Contains(stderr, "install PostgreSQL's client programs") {
		t.Errorf("%d, %s", code, stderr)
	}
}
