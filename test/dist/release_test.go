package dist

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// otherArch is an architecture of the files that do not run here.
var otherArch = map[string]string{"amd64": "arm64", "arm64": "amd64"}[arch]

// TestReproducible: a clone in another directory gives the same files, and a compiler that
// takes nothing from its cache the same program.
func TestReproducible(t *testing.T) {
	sums := made(t, "SHA256SUMS")
	dir := t.TempDir()
	clone := filepath.Join(dir, "another place")
	run := func(in, name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = in
		cmd.Env = append(os.Environ(), "TZ=Pacific/Kiritimati", "LANG=C.UTF-8", "GOMAXPROCS=3", "CGO_ENABLED=0", "GOFLAGS=-trimpath", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	run("../..", "git", "clone", "-q", "--no-local", ".", clone)
	run(clone, "scripts/dist.sh", filepath.Join(dir, "dist"))
	want, err := os.ReadFile(sums)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "dist", "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the files differ:\n%s\nand:\n%s", want, got)
	}
	again := filepath.Join(dir, "roost")
	run(clone, "go", "build", "-a", "-buildvcs=true", "-o", again, "./cmd/roost")
	program, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := sha256.Sum256(program), sha256.Sum256(unpack(t, made(t, "roost-*-linux-"+arch+".tar.gz"), "/roost")); a != b {
		t.Errorf("the programs differ: %x and %x", a, b)
	}
}

// TestRelease: the files are complete, their sums are right, and the programs need no library.
func TestRelease(t *testing.T) {
	sums := made(t, "SHA256SUMS")
	cmd := exec.Command("sha256sum", "--check", "--quiet", "--strict", sums)
	cmd.Dir = filepath.Dir(sums)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, a := range []string{arch, otherArch} {
		archive := made(t, "roost-*-linux-"+a+".tar.gz")
		made(t, "roost_*_"+a+".deb")
		made(t, "roost-*."+map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[a]+".rpm")
		for _, name := range []string{"/roost", "/roost-bench"} {
			program, err := elf.NewFile(bytes.NewReader(unpack(t, archive, name)))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range program.Progs {
				if p.Type == elf.PT_INTERP {
					t.Errorf("%s for %s is not static", name, a)
				}
			}
			if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[a]; program.Machine != want {
				t.Errorf("%s for %s is for %v", name, a, program.Machine)
			}
		}
		for _, name := range []string{"/LICENSES", "/LICENSES.roost-bench", "/man/roost-serve.1", "/completions/roost.zsh", "/deploy/roost.service"} {
			if len(unpack(t, archive, name)) == 0 {
				t.Errorf("%s is empty", name)
			}
		}
		text, err := os.ReadFile(made(t, "roost-*-linux-"+a+".cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		var bom struct {
			BOMFormat  string
			Components []struct{ Name, Version string }
		}
		if err := json.Unmarshal(text, &bom); err != nil || bom.BOMFormat != "CycloneDX" {
			t.Errorf("%q, %v", bom.BOMFormat, err)
		}
		listed := make(map[string]bool)
		for _, c := range bom.Components {
			listed[c.Name] = true
		}
		for _, name := range []string{"std", "modernc.org/sqlite", "github.com/jackc/pgx/v5"} {
			if !listed[name] {
				t.Errorf("the list of modules lacks %s", name)
			}
		}
	}
}

// TestRPM: the package is installed, upgraded to itself and removed by rpm, with its scripts.
func TestRPM(t *testing.T) {
	file := made(t, "roost-*."+map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]+".rpm")
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("rpm is not installed")
	}
	r := newRoot(t)
	if !r.exists("/usr/bin/rpm") {
		t.Skip("rpm is not installed in the root")
	}
	rpm := r.bring(file)
	// The packages that it depends on are Fedora's.
	out := r.run("rpm", "--install", "--nodeps", rpm)
	if !strings.Contains(out, "systemctl enable --now roost") {
		t.Errorf("rpm does not print what to do next: %s", out)
	}
	r.is(config, "root:roost 640")
	r.is(data, "roost:roost 700")
	if out := r.run("rpm", "--query", "--configfiles", "roost"); out != config+"\n" {
		t.Errorf("the configuration files are %q", out)
	}
	r.local()
	edited := r.read(config)
	server := start(t, r.asUnit("roost.service"))
	r.addUser("romeo")
	r.addUser("juliet")
	chat(t, server.addr, "localhost")
	server.stop()
	r.run("rpm", "--upgrade", "--replacepkgs", "--nodeps", rpm)
	if r.read(config) != edited {
		t.Error("an upgrade has changed a configuration that was edited")
	}
	r.run("rpm", "--erase", "roost")
	for name, want := range map[string]bool{"/usr/bin/roost": false, "/usr/share/roost": false, "/usr/share/doc/roost": false, config: false, config + ".rpmsave": true, data + "/roost.db": true} {
		if r.exists(name) != want {
			t.Errorf("after removing, %s exists: %v", name, !want)
		}
	}
}

// TestManual: every page of the archive is accepted by mandoc, if it is installed.
func TestManual(t *testing.T) {
	archive := made(t, "roost-*-linux-"+arch+".tar.gz")
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", archive, "-C", dir, "--strip-components=1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pages, err := filepath.Glob(dir + "/man/*.1")
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed")
	}
	if out, err := exec.Command(mandoc, append([]string{"-Tlint", "-Wwarning"}, pages...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for shell, args := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}} {
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("%s is not installed", shell)
			continue
		}
		if out, err := exec.Command(shell, append(args, dir+"/completions/roost."+shell)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}
