package dist

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// distEnv names the directory with the files to test.
const distEnv = "ROOST_DIST"

// rootEnv names a directory with a Debian system, such as one that mmdebstrap has made. The
// tests change a copy of it. The default is this machine's own.
const rootEnv = "ROOST_DIST_ROOT"

// made returns the file of scripts/dist.sh that matches a pattern.
func made(t *testing.T, pattern string) string {
	t.Helper()
	dir := os.Getenv(distEnv)
	if dir == "" {
		t.Skip("make packages or make test-dist makes the files that this tests")
	}
	if os.Getuid() != 0 {
		t.Fatal("root is needed")
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %q, %v", pattern, files, err)
	}
	file, err := filepath.Abs(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// root is a file system whose changes are lost at the end of the test.
type root struct {
	*testing.T
	dir string
}

// newRoot returns a root like the machine's or that of rootEnv. Files under the directory that
// it mounts are as in it; no service manager runs there.
func newRoot(t *testing.T) *root {
	t.Helper()
	lower := os.Getenv(rootEnv)
	if lower == "" {
		lower = "/"
	}
	dir := t.TempDir()
	for _, name := range []string{"layer", "upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The upper directory of an overlay cannot be on every file system; on a tmpfs it can.
	layer := filepath.Join(dir, "layer")
	mount(t, "none", layer, "tmpfs", 0, "")
	for _, name := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(layer, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := &root{t, filepath.Join(dir, "root")}
	mount(t, "overlay", r.dir, "overlay", 0, "lowerdir="+lower+",upperdir="+layer+"/upper,workdir="+layer+"/work,volatile")
	mount(t, "/dev", r.path("/dev"), "", syscall.MS_BIND, "")
	mount(t, "none", r.path("/tmp"), "tmpfs", 0, "mode=1777")
	if err := os.MkdirAll(r.path("/etc/dpkg/dpkg.cfg.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.write("/etc/dpkg/dpkg.cfg.d/unsafe-io", "force-unsafe-io\n") // nothing here outlives the test
	// The index of all manual pages of the machine takes longer than everything else.
	if err := os.Remove(r.path("/var/lib/man-db/auto-update")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return r
}

func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// path returns where a file of the root is outside of it.
func (r *root) path(name string) string { return filepath.Join(r.dir, name) }

// command returns a command that runs in the root.
func (r *root) command(args ...string) *exec.Cmd {
	r.Helper()
	cmd := exec.Command("/usr/sbin/chroot", append([]string{r.dir}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

// run runs a command in the root, and returns what it prints.
func (r *root) run(args ...string) string {
	r.Helper()
	out, err := r.command(args...).CombinedOutput()
	if err != nil {
		r.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// read returns the text of a file.
func (r *root) read(name string) string {
	r.Helper()
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

// write writes a file as it would be edited: with the same owner and mode.
func (r *root) write(name, text string) {
	r.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

// exists reports whether there is such a file.
func (r *root) exists(name string) bool {
	_, err := os.Lstat(r.path(name))
	return err == nil
}

// is checks the owner, the group and the mode of a file.
func (r *root) is(name, want string) {
	r.Helper()
	if got := strings.TrimSpace(r.run("stat", "-c", "%U:%G %a", name)); got != want {
		r.Errorf("%s is %s, want %s", name, got, want)
	}
}

// bring makes a file available in the root, and returns its name there.
func (r *root) bring(file string) string {
	r.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		r.Fatal(err)
	}
	name := "/tmp/" + filepath.Base(file)
	r.write(name, string(text))
	return name
}

// childTime returns the CPU time of the processes that have ended, in seconds.
func childTime(t *testing.T) float64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// arch is the architecture of the files that run here.
const arch = runtime.GOARCH
