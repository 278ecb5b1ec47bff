package dist

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("%s in %s: %v", name, archive, err)
		}
		if strings.HasSuffix(h.Name, name) {
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
}

// TestImage: what the Dockerfile puts into the image is enough for a server that is not root,
// without /proc and without a directory for temporary files. A container's engine is not
// needed: the file system is made by hand.
func TestImage(t *testing.T) {
	archive := made(t, "roost-*-linux-"+arch+".tar.gz")
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
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		switch c[1] {
		case "/out/data":
			if err := os.Mkdir(to, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(to, 65532, 65532); err != nil {
				t.Fatal(err)
			}
		case "/out/roost":
			if err := os.WriteFile(to, unpack(t, archive, "/roost"), 0o755); err != nil {
				t.Fatal(err)
			}
		default: // a file of the system
			if err := os.WriteFile(to, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := func(instruction string) []string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + instruction + `.* ?\[(.*)\]$`).FindStringSubmatch(final)
		if m == nil {
			t.Fatalf("no %s in the Dockerfile", instruction)
		}
		return strings.Split(strings.ReplaceAll(m[1], `"`, ""), ", ")
	}
	for _, program := range []string{"/roost", "/proc", "/tmp"} {
		if _, err := os.Stat(dir + program); (err == nil) != (program == "/roost") {
			t.Errorf("%s: %v", program, err)
		}
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/usr/sbin/chroot", append([]string{"--userspec=65532:65532", dir}, args...)...)
		cmd.Env = []string{"ROOST_DATA=/data", "ROOST_C2S=127.0.0.1:0", "ROOST_C2S_TLS=127.0.0.1:0"}
		return cmd
	}
	health := run(list("HEALTHCHECK")...)
	if err := health.Run(); err == nil {
		t.Error("it is healthy without a server")
	}
	server := start(t, run(append(list("ENTRYPOINT"), list("CMD")...)...))
	for _, name := range []string{"romeo", "juliet"} {
		add := run("/roost", "user", "add", name+"@localhost", "--password-stdin")
		add.Stdin = strings.NewReader("secret\n")
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	chat(t, server.addr, "localhost")
	if out, err := run(list("HEALTHCHECK")...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run("/roost", "backup", "/data/backup.tar").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
