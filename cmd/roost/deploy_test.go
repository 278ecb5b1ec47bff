package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"roost/internal/cmdtest"
)

// deployed returns a file in deploy.
func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents reads a YAML file. A key that is there twice is an error.
func documents(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, doc)
	}
}

// at returns what is at a path in a document, nil if nothing is.
func at(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// texts returns a list as texts, nil if it is none.
func texts(v any) (all []string) {
	list, _ := v.([]any)
	for _, element := range list {
		text, _ := element.(string)
		all = append(all, text)
	}
	return all
}

// accepts checks that the program accepts a command line in a file of deploy, with the config
// file that it names.
func accepts(t *testing.T, where string, args []string, config string) {
	t.Helper()
	for i, a := range args {
		if strings.HasPrefix(a, "--config=") || i > 0 && args[i-1] == "--config" {
			file := filepath.Join(t.TempDir(), "roost.toml")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			flag, _, _ := strings.Cut(a, "/")
			args[i] = flag + file
		}
	}
	parser, err := newParser(new(grammar))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("%s: roost %q: %v", where, args, err)
	}
}

// TestDeployedUnits: the command lines in the units are valid. Flags and environment variables
// are tested by TestDocumentedFlags.
func TestDeployedUnits(t *testing.T) {
	for _, name := range []string{"roost.service", "roost-backup.service"} {
		m := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/roost (.*)$`).FindStringSubmatch(deployed(t, name))
		if m == nil {
			t.Fatalf("%s starts nothing", name)
		}
		accepts(t, name, strings.Fields(m[1]), deployed(t, "roost.toml"))
	}
}

// TestDeployedContainers: so are those in the files for containers. What makes them valid for
// Docker is not tested.
func TestDeployedContainers(t *testing.T) {
	for _, m := range regexp.MustCompile(`(?m)(ENTRYPOINT|CMD) \[(.*)\]$`).FindAllStringSubmatch(deployed(t, "container/Dockerfile"), -1) {
		args := strings.Split(strings.ReplaceAll(m[2], `"`, ""), ", ")
		if args[0] == "/roost" {
			args = args[1:]
		}
		if m[1] == "CMD" {
			accepts(t, "Dockerfile", args, "")
		}
	}
	for _, name := range []string{"container/compose.yaml", "cluster/compose.yaml"} {
		docs := documents(t, deployed(t, name))
		built := 0
		services, _ := at(docs[0], "services").(map[string]any)
		for _, s := range services {
			if file, ok := at(s, "build", "dockerfile").(string); ok {
				built++
				deployed(t, strings.TrimPrefix(file, "deploy/"))
			}
		}
		if built == 0 {
			t.Errorf("%s builds nothing", name)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^#.* exec \S+ /roost (.*)$`).FindAllStringSubmatch(deployed(t, "container/compose.yaml")+deployed(t, "cluster/compose.yaml"), -1) {
		accepts(t, "compose.yaml", strings.Fields(m[1]), "")
	}
}

// TestDeployedKubernetes: the configuration, the probes and the hooks are valid, names refer to
// what is there, and a pod has time for its drain.
func TestDeployedKubernetes(t *testing.T) {
	text := deployed(t, "kubernetes/roost.yaml")
	var set map[string]any
	config := ""
	for _, doc := range documents(t, text) {
		switch at(doc, "kind") {
		case "StatefulSet":
			set = doc
		case "ConfigMap":
			config, _ = at(doc, "data", "roost.toml").(string)
		}
	}
	template := at(set, "spec", "template")
	containers, _ := at(template, "spec", "containers").([]any)
	if len(containers) != 1 || config == "" {
		t.Fatalf("%d containers, config %q", len(containers), config)
	}
	c := containers[0]
	accepts(t, "args", texts(at(c, "args")), config)
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		command := texts(at(c, probe, "exec", "command"))
		if len(command) == 0 || command[0] != "/roost" {
			t.Fatalf("%s: %q", probe, command)
		}
		accepts(t, probe, command[1:], "")
	}
	drain := texts(at(c, "lifecycle", "preStop", "exec", "command"))
	accepts(t, "preStop", drain[1:], "")
	var g grammar
	parser, err := newParser(&g)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(drain[1:]); err != nil {
		t.Fatal(err)
	}
	grace, _ := at(template, "spec", "terminationGracePeriodSeconds").(int)
	if need := int((g.Drain.Over + stopSlack).Seconds()) + 20; !g.Drain.Wait || grace < need { // the 20 s of drain-timeout
		t.Errorf("a pod has %d s to stop, and needs %d s", grace, need)
	}
	mounted := make(map[string]bool)
	mounts, _ := at(c, "volumeMounts").([]any)
	for _, m := range mounts {
		name, _ := at(m, "name").(string)
		mounted[name] = true
	}
	volumes, _ := at(template, "spec", "volumes").([]any)
	for _, v := range volumes {
		name, _ := at(v, "name").(string)
		if !mounted[name] {
			t.Errorf("the volume %s is not mounted", name)
		}
		delete(mounted, name)
	}
	if len(mounted) > 0 {
		t.Errorf("no volumes: %v", mounted)
	}
	if !bytes.Contains([]byte(config), []byte("proxy-protocol")) || strings.Count(text, "app.kubernetes.io/name: roost") < 5 {
		t.Error("the PROXY protocol, or the label, is missing")
	}
}

// TestDeployedDirectories: the package has systemd set the owners and modes of its own directories
// only, and no document has another file take its place. Bug: it had those of /var/backups, which is
// the system's, set again at each start.
func TestDeployedDirectories(t *testing.T) {
	n := 0
	for line := range strings.Lines(deployed(t, "package/tmpfiles.conf")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		n++
		if f := strings.Fields(line); len(f) != 6 || f[0] != "d" || filepath.Base(f[1]) != "roost" || f[2] != "0700" {
			t.Errorf("tmpfiles.conf: %s", line)
		}
	}
	if n != 2 {
		t.Errorf("%d directories", n)
	}
	for name, text := range cmdtest.Documents(t) {
		if strings.Contains(text, "/etc/tmpfiles.d/roost.conf") {
			t.Errorf("%s: the file takes the place of that of the package, which has the same name", name)
		}
	}
}
