package dist

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// unpack returns the file of an archive whose name ends like this.
func unpack(t *testing.T, archive, name string) []byte {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := find(z, name)
	if err != nil {
		t.Fatalf("%s in %s: %v", name, archive, err)
	}
	return text
}

// find returns the file of a tar archive whose name ends like this.
func find(archive io.Reader, name string) ([]byte, error) {
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(h.Name, name) {
			return io.ReadAll(r)
		}
	}
}

// image is a container's image: its file system and what its config says.
type image struct {
	*testing.T
	dir    string
	config imageConfig
}

type imageConfig struct {
	User                 string
	Env, Entrypoint, Cmd []string
	Healthcheck          struct{ Test []string } // CMD and the command
}

// byHand returns an image of the final stage of the Dockerfile, with this program.
func byHand(t *testing.T, program []byte) *image {
	t.Helper()
	dockerfile, err := os.ReadFile("../../deploy/container/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, final, ok := strings.Cut(string(dockerfile), "FROM scratch\n")
	if !ok {
		t.Fatal("the image is not made from scratch")
	}
	dir := t.TempDir()
	copied := regexp.MustCompile(`(?m)^COPY --from=build (?:--chown=\d+:\d+ )?(\S+) (\S+)$`).FindAllStringSubmatch(final, -1)
	if len(copied) != 3 {
		t.Fatalf("the image has %q", copied)
	}
	for _, c := range copied {
		to := filepath.Join(dir, c[2])
		err := os.MkdirAll(filepath.Dir(to), 0o755)
		switch c[1] {
		case "/out/volumes/":
			data := filepath.Join(to, "data")
			err = errors.Join(err, os.Mkdir(data, 0o700), os.Chown(data, 65532, 65532))
		case "/out/roost":
			err = errors.Join(err, os.WriteFile(to, program, 0o755))
		default: // a file of the system
			err = errors.Join(err, os.WriteFile(to, nil, 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	words := func(instruction string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + instruction + ` (.*)$`).FindStringSubmatch(final)
		if m == nil {
			t.Fatalf("no %s in the Dockerfile", instruction)
		}
		return m[1]
	}
	list := func(instruction string) []string {
		t.Helper()
		_, text, _ := strings.Cut(words(instruction), "[")
		return strings.Split(strings.ReplaceAll(strings.TrimSuffix(text, "]"), `"`, ""), ", ")
	}
	i := &image{T: t, dir: dir}
	i.config = imageConfig{User: words("USER"), Env: strings.Fields(words("ENV")), Entrypoint: list("ENTRYPOINT"), Cmd: list("CMD")}
	i.config.Healthcheck.Test = append([]string{"CMD"}, list("HEALTHCHECK")...)
	return i
}

// base is the Dockerfile of an image in which the first stage of roost's runs, with the programs
// of this machine in the place of an image that would be downloaded.
const base = `FROM scratch
COPY . /
ENV HOME=/root PATH=/usr/sbin:/usr/bin`

// built returns the image that buildah makes of the Dockerfile and the commit that is checked
// out. The compiler takes from its cache what scripts/dist.sh has compiled.
func built(t *testing.T, buildah string) *image {
	t.Helper()
	dir := t.TempDir()
	run := func(in string, args ...string) []byte {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = in
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v\n%s%s", args, err, out, &stderr)
		}
		return out
	}
	storage := []string{buildah, "--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs"}
	build := func(in string, args ...string) {
		t.Helper()
		run(in, append(append(storage, "build", "--isolation", "chroot", "--format", "docker", "--pull-never"), append(args, ".")...)...)
	}

	tree := filepath.Join(dir, "base")
	for _, name := range []string{"usr", "root", "tmp", "etc/ssl/certs"} {
		if err := os.MkdirAll(filepath.Join(tree, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, filepath.Join(tree, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/ssl/certs/ca-certificates.crt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "Dockerfile")
	volumes := []string{"--volume=/usr:/usr:ro"}
	text := base
	for _, line := range strings.Fields(string(run("", "go", "env", "GOROOT", "GOMODCACHE", "GOCACHE"))) {
		volumes = append(volumes, "--volume="+line+":"+line)
	}
	for name, value := range map[string]string{"GOMODCACHE": "", "GOCACHE": "", "GOROOT": "/bin:/usr/sbin:/usr/bin"} {
		at := strings.TrimSpace(string(run("", "go", "env", name)))
		if name == "GOROOT" {
			name = "PATH"
		}
		text += " " + name + "=" + at + value
	}
	if err := os.WriteFile(file, []byte(text+" GOFLAGS=-mod=readonly GOPROXY=off GOTOOLCHAIN=local\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	build(tree, "--file="+file, "--tag=localhost/golang:1.26")
	clone := filepath.Join(dir, "clone")
	run("../..", "git", "clone", "-q", "--no-local", ".", clone)
	build(clone, append(volumes, "--file=deploy/container/Dockerfile", "--tag=localhost/roost")...)

	i := &image{T: t}
	var described struct {
		Docker struct{ Config imageConfig }
	}
	if err := json.Unmarshal(run("", append(storage, "inspect", "--type=image", "localhost/roost")...), &described); err != nil {
		t.Fatal(err)
	}
	i.config = described.Docker.Config
	container := strings.TrimSpace(string(run("", append(storage, "from", "--pull-never", "localhost/roost")...)))
	i.dir = strings.TrimSpace(string(run("", append(storage, "mount", container)...)))
	t.Cleanup(func() { run("", append(storage, "rm", container)...) })
	return i
}

// TestImage: what is in the image is enough for a server that is not root, without /proc and
// without a directory for temporary files. Neither a container's engine nor its tools are
// needed: the file system is made as the Dockerfile says, and the programs run in it.
func TestImage(t *testing.T) {
	deb := made(t, "roost_*_"+arch+".deb")
	tree, err := exec.Command("dpkg-deb", "--fsys-tarfile", deb).Output()
	if err != nil {
		t.Fatal(err)
	}
	program, err := find(bytes.NewReader(tree), "/usr/bin/roost")
	if err != nil {
		t.Fatal(err)
	}
	byHand(t, program).serves()
}

// TestImageBuilt: so is that of an image which buildah makes, without a daemon, and without
// namespaces of the kernel.
func TestImageBuilt(t *testing.T) {
	made(t, "SHA256SUMS")
	buildah, err := exec.LookPath("buildah")
	if err != nil {
		t.Skip("buildah is not installed")
	}
	built(t, buildah).serves()
}

// serves checks the image.
func (i *image) serves() {
	i.Helper()
	if i.config.User != "65532:65532" {
		i.Errorf("it runs as %q", i.config.User)
	}
	for _, name := range []string{"/roost", "/proc/self", "/tmp", "/bin", "/usr"} {
		if _, err := os.Stat(i.dir + name); (err == nil) != (name == "/roost") {
			i.Errorf("%s: %v", name, err)
		}
	}
	data, err := os.Stat(i.dir + "/data")
	if err != nil {
		i.Fatal(err)
	}
	if owner := data.Sys().(*syscall.Stat_t).Uid; data.Mode().Perm() != 0o700 || owner != 65532 {
		i.Errorf("/data has the mode %v, and belongs to %d", data.Mode(), owner)
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/usr/sbin/chroot", append([]string{"--userspec=" + i.config.User, i.dir}, args...)...)
		cmd.Env = append([]string{"ROOST_C2S=127.0.0.1:0", "ROOST_C2S_TLS=127.0.0.1:0"}, i.config.Env...)
		return cmd
	}
	done := func(stdin string, args ...string) {
		i.Helper()
		cmd := run(args...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			i.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	health := i.config.Healthcheck.Test
	if len(health) < 2 || health[0] != "CMD" {
		i.Fatalf("the health check is %q", health)
	}
	if run(health[1:]...).Run() == nil {
		i.Error("it is healthy without a server")
	}
	server := start(i.T, run(append(i.config.Entrypoint, i.config.Cmd...)...))
	for _, name := range []string{"romeo", "juliet"} {
		done("secret\n", "/roost", "user", "add", name+"@localhost", "--password-stdin")
	}
	chat(i.T, server.addr, "localhost")
	done("", health[1:]...)
	done("", "/roost", "backup", "/data/backup.tar")
	// It sorts rows in temporary files.
	dump, err := os.ReadFile("../../migrate/prosody/testdata/prosody.sql")
	if err != nil {
		i.Fatal(err)
	}
	done(string(dump), "/roost", "import", "-", "--from", "prosody", "--any-domain", "--dry-run")
	server.stop()
}
