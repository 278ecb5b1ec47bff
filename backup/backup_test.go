package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A child process of these tests writes a backup, or restores one, and kills itself at a
// step.
const (
	childWrites   = "BACKUP_TEST_WRITES"   // the name of the backup
	childRestores = "BACKUP_TEST_RESTORES" // the name of the backup and the directory
	childEnds     = "BACKUP_TEST_ENDS"     // the number of the step
)

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(childEnds)); err == nil {
		step = func() {
			if n--; n < 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		if name := os.Getenv(childWrites); name != "" {
			err = write(name, "new")
		} else {
			name, dir, _ := strings.Cut(os.Getenv(childRestores), " ")
			err = restore(name, dir)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child runs a child process that ends at a step, and reports whether it ended before that.
func child(t *testing.T, what, value string, step int) (complete bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), what+"="+value, childEnds+"="+strconv.Itoa(step))
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("step %d: %v: %s", step, err, out)
	}
	return err == nil
}

// write writes a backup with a database that has this text.
func write(name, text string) error {
	w, err := Begin(name)
	if err != nil {
		return err
	}
	defer w.Discard()
	if err := os.WriteFile(w.DatabaseFile(), []byte(text), 0o600); err != nil {
		return err
	}
	m := &Manifest{Roost: "v1", Created: time.Unix(1800000000, 0).UTC(), Domains: []string{"example.org"}, Database: Database{Entry: "roost.db", Version: 3, Accounts: 2}}
	tree := bytes.NewBuffer(nil)
	out := tar.NewWriter(tree)
	for _, name := range []string{"a", "sub/b"} {
		if err := errors.Join(out.WriteHeader(&tar.Header{Name: name, Mode: 0o600}), out.Flush()); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	_, err = w.Finish(context.Background(), m, []File{{"secret", []byte("the secret")}, {"selfsigned.key", nil}, {"tree.tar", tree.Bytes()}}, func(int64, int64) {})
	return err
}

func restore(name, dir string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = Restore(context.Background(), f, dir, func(*Manifest) error { return nil })
	return err
}

// files returns the names in a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := namesIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

var restored = []string{"roost.db", "secret", "selfsigned.key", "tree"}

// wantRestored checks that a directory has a restored backup.
func wantRestored(t *testing.T, dir, text string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "roost.db"))
	if all := files(t, dir); err != nil || string(got) != text || !slices.Equal(all, restored) {
		t.Errorf("%q, %v; files %q", got, err, all)
	}
	if all := files(t, filepath.Join(dir, "tree")); !slices.Equal(all, []string{"a", "sub"}) {
		t.Errorf("the directory has %q", all)
	}
	if info, err := os.Stat(filepath.Join(dir, "secret")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestRestore: what was saved is restored, only its owner can read it, and nothing else is
// left beside the backup.
func TestRestore(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	name := filepath.Join(dir, "b.tar")
	for _, text := range []string{"first", "second"} { // the second replaces the first
		if err := write(name, text); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 || len(files(t, dir)) != 1 {
		t.Errorf("%v, %v, %q", info, err, files(t, dir))
	}
	if err := restore(name, to); err != nil {
		t.Fatal(err)
	}
	wantRestored(t, to, "second")
	if err := restore(name, to); err == nil || !strings.Contains(err.Error(), to+" is not empty, it has roost.db: ") {
		t.Errorf("%v", err)
	}
	wantRestored(t, to, "second")
	if err := CheckEmpty(filepath.Join(to, "none")); err != nil {
		t.Error(err)
	}
}

// TestDamage: a backup in which a byte has changed, or whose end is missing, is not
// restored, unless the byte means nothing.
func TestDamage(t *testing.T) {
	name := filepath.Join(t.TempDir(), "b.tar")
	if err := write(name, "a database"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	accept := func(*Manifest) error { return nil }
	for _, n := range []int{0, 100, len(text) / 2, len(text) - 1500} {
		dir := t.TempDir()
		if _, err := Restore(t.Context(), bytes.NewReader(text[:n]), dir, accept); err == nil || len(files(t, dir)) > 0 {
			t.Errorf("%d bytes: %v; files %q", n, err, files(t, dir))
		}
	}
	f := func(text []byte) error {
		t.Helper()
		err := Check(t.Context(), bytes.NewReader(text))
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoBackup) {
			t.Error(err)
		}
		return err
	}
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] ^= 1
		// Tar fills blocks, and ends, with bytes that have no meaning.
		if err := f(changed); err == nil && text[i] != 0 && text[i] != ' ' {
			t.Errorf("byte %d, %q, was changed", i, text[max(0, i-10):i+1])
		}
	}
	for n := 0; n < len(text)-1024; n += 100 { // without the two blocks at the end, it is complete
		if err := f(text[:n]); err == nil {
			t.Errorf("%d of %d bytes are a backup", n, len(text))
		}
	}
}

// TestKilledWriting: whenever a process is killed, there is the old backup or the new one,
// and the next backup removes what it has left.
func TestKilledWriting(t *testing.T) {
	for n := 0; ; n++ {
		dir := t.TempDir()
		name := filepath.Join(dir, NameAt("", time.Unix(1800000000, 0)))
		if err := write(name, "old"); err != nil {
			t.Fatal(err)
		}
		complete := child(t, childWrites, name, n)
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(Check(t.Context(), f), f.Close()); err != nil {
			t.Errorf("step %d: %v", n, err)
		}
		if err := RemoveLeft(dir); err != nil || len(files(t, dir)) != 1 {
			t.Errorf("step %d: %v, %q", n, err, files(t, dir))
		}
		child(t, childWrites, name, n)
		if err := write(name, "newer"); err != nil || len(files(t, dir)) != 1 {
			t.Errorf("step %d: %v, %q", n, err, files(t, dir))
		}
		if complete {
			if n < 5 {
				t.Errorf("there are only %d steps", n)
			}
			return
		}
	}
}

// TestKilledRestoring: whenever a process is killed, either nothing was restored, or
// everything, or it is known that this is not complete; the next attempt succeeds, also
// if that is of another backup, or killed itself.
func TestKilledRestoring(t *testing.T) {
	name := filepath.Join(t.TempDir(), "b.tar")
	if err := write(name, "database"); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		dir := t.TempDir()
		complete := child(t, childRestores, name+" "+dir, n)
		if all := files(t, dir); !complete && !IsUnfinished(dir) && len(all) > 0 && !slices.Equal(all, restored) {
			t.Errorf("step %d leaves %q", n, all)
		}
		if IsUnfinished(dir) {
			for again := range 4 {
				child(t, childRestores, name+" "+dir, again)
			}
		}
		if len(files(t, dir)) == 0 || IsUnfinished(dir) {
			if err := restore(name, dir); err != nil {
				t.Fatalf("step %d: %v", n, err)
			}
		}
		wantRestored(t, dir, "database")
		if complete {
			if n < 8 {
				t.Errorf("there are only %d steps", n)
			}
			return
		}
	}
}

// TestRestoreOther: what an interrupted restore of one backup has left is not mixed with
// another one.
func TestRestoreOther(t *testing.T) {
	name, dir := filepath.Join(t.TempDir(), "b.tar"), t.TempDir()
	if err := write(name, "database"); err != nil {
		t.Fatal(err)
	}
	w, err := Begin(name + "-other")
	if err == nil {
		m := &Manifest{Database: Database{Entry: "roost.db"}}
		_, err = w.Finish(t.Context(), m, nil, func(int64, int64) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	child(t, childRestores, name+" "+dir, 9) // all files are in their places
	if all := files(t, dir); !IsUnfinished(dir) || !slices.Contains(all, "secret") {
		t.Fatalf("it has left %q", all)
	}
	if err := restore(name+"-other", dir); err != nil || !slices.Equal(files(t, dir), []string{"roost.db"}) {
		t.Errorf("%v; files %q", err, files(t, dir))
	}
}

// TestRestoreKeepsOthers: files of others are not removed, also after an interruption.
func TestRestoreKeepsOthers(t *testing.T) {
	name, dir := filepath.Join(t.TempDir(), "b.tar"), t.TempDir()
	if err := write(name, "database"); err != nil {
		t.Fatal(err)
	}
	child(t, childRestores, name+" "+dir, 7)
	if !IsUnfinished(dir) {
		t.Fatal("it is not unfinished")
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := restore(name, dir); err == nil || !strings.Contains(err.Error(), "it has mine") {
		t.Error(err)
	}
}

// TestBegin: only one process writes a backup, and it replaces nothing but a backup.
func TestBegin(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "b.tar")
	w, err := Begin(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(name); err == nil || !strings.Contains(err.Error(), "another roost backup is writing "+name) {
		t.Error(err)
	}
	w.Discard()
	if all := files(t, dir); len(all) != 0 {
		t.Errorf("%q", all)
	}
	if err := os.WriteFile(name, []byte("a letter"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(name); err == nil || !strings.Contains(err.Error(), "is not a backup of roost") {
		t.Error(err)
	}
	if err := restore(name, t.TempDir()); !errors.Is(err, ErrNoBackup) {
		t.Error(err)
	}
}

// TestLinks: no symbolic link at one of the names is followed, nor is what it leads to changed.
// The directory may be that of another user than the one who writes.
func TestLinks(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.tar")
	if err := write(other, "other"); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, refused := range map[string]bool{"": true, partial: true, database: false, database + "-journal": false} {
		name := filepath.Join(t.TempDir(), "b.tar")
		link := name + suffix
		if err := os.Symlink(other, link); err != nil {
			t.Fatal(err)
		}
		err := write(name, "database")
		if refused && (err == nil || !strings.Contains(err.Error(), link+" is a symbolic link, ")) || !refused && err != nil {
			t.Errorf("%s: %v", suffix, err)
		}
		if got, err := os.ReadFile(other); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: the file that it leads to has changed, %v", suffix, err)
		}
		if _, err := os.Lstat(link); refused != (err == nil) {
			t.Errorf("%s: the link: %v", suffix, err)
		}
	}
}

// TestInterrupted: an interrupted backup leaves nothing, and removes what there is at once, unlike
// one that is complete.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	paced := removePaced
	defer func() { removePaced = paced }()
	slowly := 0
	removePaced = func(name string) error { slowly++; return paced(name) }
	if err := write(filepath.Join(dir, "a.tar"), "x"); err != nil || slowly == 0 {
		t.Errorf("%v; %d files were removed at a pace", err, slowly)
	}
	if err := os.Remove(filepath.Join(dir, "a.tar")); err != nil {
		t.Fatal(err)
	}
	w, err := Begin(filepath.Join(dir, "b.tar"))
	if err != nil {
		t.Fatal(err)
	}
	slowly = 0
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := os.WriteFile(w.DatabaseFile(), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(ctx, &Manifest{Database: Database{Entry: "roost.db"}}, nil, func(int64, int64) {}); !errors.Is(err, context.Canceled) || len(files(t, dir)) > 0 || slowly > 0 {
		t.Errorf("%v, %q; %d files were removed at a pace", err, files(t, dir), slowly)
	}
}

// TestKeep: the newest backups are kept, and only backups are deleted.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	at := time.Unix(1800000000, 0)
	var names []string
	for i := range 4 {
		names = append(names, NameAt(dir, at.Add(time.Duration(i)*time.Hour)))
		if err := write(names[i], "x"); err != nil {
			t.Fatal(err)
		}
	}
	others := []string{"roost-20200101T000000Z.tar", "roost-20200101T000000Z.tar.gz", "notes"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no backup"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(filepath.Join(dir, "before-upgrade.tar"), "x"); err != nil {
		t.Fatal(err)
	}
	deleted, err := Keep(dir, names[3], 3)
	if err != nil || !slices.Equal(deleted, names[:1]) {
		t.Errorf("%q, %v", deleted, err)
	}
	if n := len(files(t, dir)); n != 3+len(others)+1 {
		t.Errorf("%q", files(t, dir))
	}
	w, err := Begin(NameAt(dir, at))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	if err := RemoveLeft(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(w.DatabaseFile()); err != nil {
		t.Errorf("a backup that is being written was removed: %v", err)
	}
	// The clock was ahead when the others were made.
	if deleted, err = Keep(dir, names[1], 1); err != nil || !slices.Equal(deleted, names[2:]) {
		t.Errorf("%q, %v", deleted, err)
	}
}

// TestManifest: a manifest cannot name files elsewhere, nor those of a restore, such as the lock.
func TestManifest(t *testing.T) {
	f := func(want error, formatOf int, names ...string) {
		t.Helper()
		m := &Manifest{Format: formatOf, Database: Database{Entry: "roost.db"}}
		for _, name := range names {
			m.Entries = append(m.Entries, Entry{Name: name})
		}
		if err := m.check(); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", names, err, want)
		}
	}
	f(nil, format, "roost.db", "secret")
	f(errNewer, format+1, "roost.db")
	f(ErrDamaged, 0, "roost.db")
	f(ErrDamaged, format, "secret")
	f(ErrDamaged, format, "roost.db", "../secret")
	f(ErrDamaged, format, "roost.db", "..")
	f(ErrDamaged, format, "roost.db", "/etc/passwd")
	f(ErrDamaged, format, "roost.db", "roost.db")
	f(ErrDamaged, format, "roost.db", manifestName)
	f(ErrDamaged, format, "roost.db", "tree.tar", "tree")
	for _, name := range []string{"lock", Unfinished, filesDir, filesDir + ".tar"} {
		f(ErrDamaged, format, "roost.db", name)
	}
}
