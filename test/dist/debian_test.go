package dist

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	config   = "/etc/roost/roost.toml"
	template = "/usr/share/roost/roost.toml"
	data     = "/var/lib/roost"
)

// asUnit returns a command that does what the unit says, without systemd: the user, the
// environment, and the command line. The directories that systemd would create are those of
// the package.
func (r *root) asUnit(name string) *exec.Cmd {
	r.Helper()
	settings := make(map[string]string)
	for line := range strings.Lines(r.read("/usr/lib/systemd/system/" + name)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && key[0] != '#' {
			settings[key] = value
		}
	}
	user, program := settings["User"]+":"+settings["Group"], strings.Fields(settings["ExecStart"])
	if user == ":" || len(program) == 0 {
		r.Fatalf("%s: no user, or no program: %q", name, settings)
	}
	cmd := exec.Command("/usr/sbin/chroot", append([]string{"--userspec=" + user, r.dir}, program...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", settings["Environment"]}
	return cmd
}

// local has the server listen on free ports of this machine, as an operator sets it.
func (r *root) local() {
	r.Helper()
	r.write(config, r.read(config)+"\nc2s = \"127.0.0.1:0\"\nc2s-tls = \"127.0.0.1:0\"\n")
}

// addUser adds an account as root does.
func (r *root) addUser(name string) {
	r.Helper()
	cmd := r.command("roost", "user", "add", name+"@localhost", "--password-stdin", "--data", data)
	cmd.Stdin = strings.NewReader("secret\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		r.Fatalf("%v\n%s", err, out)
	}
}

// named returns the files that have the name of roost, except those with data.
func (r *root) named() string {
	r.Helper()
	return r.run("find", "/etc", "/usr", "/var", "/run", "-xdev", "-name", "*roost*", "-not", "-path", data+"*", "-not", "-path", "/var/backups/*")
}

// older returns the package as an older version has it: with other comments in the
// configuration, and with a file that is no longer there.
func older(t *testing.T, deb string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	f := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	f("dpkg-deb", "--raw-extract", deb, dir)
	edit := func(name string, change func(string) string) {
		t.Helper()
		file := filepath.Join(dir, name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(change(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("DEBIAN/control", func(text string) string {
		return regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAllString(text, "Version: 0.0.0~0")
	})
	edit(template, func(text string) string { return "# An older version.\n" + text })
	if err := os.WriteFile(filepath.Join(dir, "usr/share/roost/old"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old.deb")
	f("dpkg-deb", "--root-owner-group", "--build", "-Znone", dir, old)
	return old
}

// TestDebianPackage installs, starts, upgrades, removes and purges the package. What systemd
// does is not tested: the sandbox of the unit, notifications, and enabling the unit.
func TestDebianPackage(t *testing.T) {
	deb := made(t, "roost_*_"+arch+".deb")
	r := newRoot(t)
	old, current := r.bring(older(t, deb)), r.bring(deb)
	before := r.named()

	out := r.run("dpkg", "--install", old)
	for _, want := range []string{"not started", "systemctl enable --now roost", config} {
		if !strings.Contains(out, want) {
			t.Errorf("dpkg does not print %q:\n%s", want, out)
		}
	}
	if got := r.run("getent", "passwd", "roost"); !strings.HasSuffix(strings.TrimSpace(got), ":/var/lib/roost:/usr/sbin/nologin") {
		t.Errorf("the user is %s", got)
	}
	r.is(config, "root:roost 640")
	r.is(data, "roost:roost 700")
	r.is("/var/backups/roost", "roost:roost 700")
	r.is("/usr/bin/roost", "root:root 755")
	if r.exists("/etc/systemd/system/multi-user.target.wants/roost.service") {
		t.Error("the unit is enabled")
	}

	r.local()
	edited := r.read(config)
	server := start(t, r.asUnit("roost.service"))
	r.addUser("romeo")
	r.addUser("juliet")
	chat(t, server.addr, "localhost")
	if out := r.run("roost", "health", "--data", data); !strings.Contains(out, "store      ok") {
		t.Error(out)
	}

	// The server goes on while the package is replaced.
	r.run("dpkg", "--install", current)
	chat(t, server.addr, "localhost")
	server.stop()
	if r.read(config) != edited {
		t.Error("the upgrade has changed a configuration that was edited")
	}
	if r.exists("/usr/share/roost/old") || strings.Contains(r.read(template), "An older version") {
		t.Error("files of the old version are left")
	}
	server = start(t, r.asUnit("roost.service"))
	chat(t, server.addr, "localhost")
	server.stop()
	if out, err := r.asUnit("roost-backup.service").CombinedOutput(); err != nil {
		t.Errorf("backup: %v\n%s", err, out)
	}

	// To go back to the old version works, too, and so does a second installation.
	r.run("dpkg", "--install", old)
	r.run("dpkg", "--install", current)
	r.run("dpkg", "--install", current)
	if r.read(config) != edited {
		t.Error("an upgrade has changed a configuration that was edited")
	}

	r.run("dpkg", "--remove", "roost")
	for name, want := range map[string]bool{"/usr/bin/roost": false, "/usr/share/roost": false, "/usr/share/doc/roost": false, config: true, data + "/roost.db": true} {
		if r.exists(name) != want {
			t.Errorf("after removing, %s exists: %v", name, !want)
		}
	}
	out = r.run("dpkg", "--purge", "roost")
	if !r.exists(data+"/roost.db") || r.exists(config) || r.exists("/etc/roost") || !strings.Contains(out, data+" is not empty and stays") {
		t.Errorf("purge must delete the configuration, and keep accounts and messages:\n%s", out)
	}
	// Nothing else is left, but for the user, of whom there may still be files.
	if after := r.named(); after != before {
		t.Errorf("these files are left:\n%s\nbefore the installation there were:\n%s", after, before)
	}
	// Whoever installs it again has everything.
	r.run("dpkg", "--install", current)
	r.local()
	chat(t, start(t, r.asUnit("roost.service")).addr, "localhost")
}

// TestDebianConfig: a configuration without changes follows the package, one that was edited
// or deleted does not, and dpkg asks nothing.
func TestDebianConfig(t *testing.T) {
	deb := made(t, "roost_*_"+arch+".deb")
	r := newRoot(t)
	old, current := r.bring(older(t, deb)), r.bring(deb)
	r.run("dpkg", "--install", old)
	if !strings.HasPrefix(r.read(config), "# An older version.\n") {
		t.Fatal("the configuration is not that of the package")
	}
	r.run("dpkg", "--install", current)
	if r.read(config) != r.read(template) {
		t.Error("a configuration without changes has not followed the package")
	}
	r.is(config, "root:roost 640")
	if left := r.run("sh", "-c", "ls /etc/roost"); left != "roost.toml\n" {
		t.Errorf("/etc/roost has %q", left)
	}
	// An upgrade that is interrupted between its two steps, and an edit before the second.
	r.run("dpkg", "--unpack", old)
	edited := r.read(config) + "# Mine.\n"
	r.write(config, edited)
	r.run("dpkg", "--configure", "--pending")
	r.run("dpkg", "--install", current)
	if r.read(config) != edited {
		t.Error("an upgrade has changed a configuration that was edited while it was interrupted")
	}
	if out := r.run("roost", "config", "check", config); !strings.Contains(out, "valid") {
		t.Error(out)
	}
	// Whoever deletes it gets a new one: the server does not start without it.
	if err := os.Remove(r.path(config)); err != nil {
		t.Fatal(err)
	}
	r.run("dpkg", "--install", old)
	r.is(config, "root:roost 640")
	// One that was not edited follows the package also if that was removed in between.
	r.run("dpkg", "--remove", "roost")
	r.run("dpkg", "--install", current)
	if r.read(config) != r.read(template) {
		t.Error("a configuration without changes is not that of the package that was installed again")
	}
	r.run("dpkg", "--purge", "roost")
	for _, name := range []string{"/etc/roost", data, "/var/backups/roost", "/var/lib/misc/roost.toml.sha256"} {
		if r.exists(name) {
			t.Errorf("%s is left", name)
		}
	}
}

// TestColdInstall measures the time from dpkg's start to the first message, on a machine that
// has never run roost.
func TestColdInstall(t *testing.T) {
	deb := made(t, "roost_*_"+arch+".deb")
	r := newRoot(t)
	file := r.bring(deb)
	begin, cpu := time.Now(), childTime(t)
	var steps []string
	step := func(what string) {
		steps = append(steps, fmt.Sprintf("%s %.2f s", what, time.Since(begin).Seconds()))
	}
	r.run("dpkg", "--install", file)
	step("installed")
	r.local()
	server := start(t, r.asUnit("roost.service"))
	step("started")
	r.addUser("romeo")
	r.addUser("juliet")
	step("two accounts added")
	chat(t, server.addr, "localhost")
	step("first message")
	server.stop()
	t.Logf("from dpkg --install to the first message: %s; CPU time %.2f s with the stop of the server", strings.Join(steps, ", "), childTime(t)-cpu)
}

// TestDebianContents: manual pages and completions are where they are found, for each command.
func TestDebianContents(t *testing.T) {
	deb := made(t, "roost_*_"+arch+".deb")
	out, err := exec.Command("dpkg-deb", "--contents", deb).Output()
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		files[strings.TrimPrefix(f[5], ".")] = f[0] + " " + f[1]
	}
	for _, name := range []string{
		"/usr/share/man/man1/roost.1.gz", "/usr/share/man/man1/roost-serve.1.gz", "/usr/share/man/man1/roost-user-add.1.gz",
		"/usr/share/bash-completion/completions/roost", "/usr/share/zsh/vendor-completions/_roost", "/usr/share/fish/vendor_completions.d/roost.fish",
		"/usr/lib/systemd/system/roost.service", "/usr/lib/systemd/system/roost-backup.timer", "/usr/lib/sysusers.d/roost.conf",
		"/usr/share/roost/90-roost.conf", "/usr/share/doc/roost/copyright", "/usr/share/doc/roost/docs/install.md",
	} {
		if got := files[name]; got != "-rw-r--r-- root/root" {
			t.Errorf("%s is %q", name, got)
		}
	}
	for name := range files {
		if strings.HasPrefix(name, "/etc/") || strings.HasPrefix(name, "/var/") {
			t.Errorf("the package has %s", name)
		}
	}
	r := newRoot(t)
	r.run("dpkg", "--install", r.bring(deb))
	for _, unit := range []string{"roost.service", "roost-backup.service"} {
		text := r.read("/usr/lib/systemd/system/" + unit)
		if strings.Contains(text, "/usr/local") || strings.Contains(text, "install -m") {
			t.Errorf("%s is for an installation by hand:\n%s", unit, text)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("systemd-analyze is not installed")
	} else if out, err := exec.Command("systemd-analyze", "verify", "--root="+r.dir, "--recursive-errors=no", "roost.service", "roost-backup.timer", "roost.socket", "roost-tls.socket", "roost-ws.socket").CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
	r.links("/usr/share/doc/roost")
	words, err := exec.Command("bash", "-c", `source "$1"; COMP_WORDS=(roost user a); COMP_CWORD=2; _roost; echo "${COMPREPLY[@]}"`, "bash", r.path("/usr/share/bash-completion/completions/roost")).CombinedOutput()
	if err != nil || string(words) != "add\n" {
		t.Errorf("the completion of roost user a is %q, %v", words, err)
	}
}

// link matches a link in a page.
var link = regexp.MustCompile(`\]\(([^)#\s]+)[^)\s]*\)`)

// links checks that the links in the pages below a directory lead to files that are there.
func (r *root) links(dir string) {
	r.Helper()
	checked := 0
	err := filepath.WalkDir(r.path(dir), func(page string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(page) != ".md" {
			return err
		}
		text, err := os.ReadFile(page)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				r.Errorf("a link in %s: %v", filepath.Base(page), err)
			}
		}
		return err
	})
	if err != nil || checked < 100 {
		r.Errorf("%d links were checked, %v", checked, err)
	}
}

// TestLintian: Debian's checker finds no error, and no warning but these.
func TestLintian(t *testing.T) {
	deb := made(t, "roost_*_"+arch+".deb")
	lintian, err := exec.LookPath("lintian")
	if err != nil {
		t.Skip("lintian is not installed")
	}
	// The program is static and has its symbols by intention, the texts of the licenses are those
	// of the modules, the scripts are written without debhelper, and whoever distributes the
	// package names a maintainer.
	expected := []string{
		"statically-linked-binary", "unstripped-binary-or-object", "copyright-file-contains-full-apache-2-license",
		"maintainer-script-calls-systemctl", "command-with-path-in-maintainer-script",
		"bogus-mail-host", "bogus-mail-host-in-debian-changelog",
	}
	out, err := exec.Command(lintian, "--allow-root", "--no-cfg", "--display-level", ">=warning", deb).CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 3 || !slices.Contains(expected, f[2]) {
			t.Errorf("lintian: %s", line)
		}
	}
}
