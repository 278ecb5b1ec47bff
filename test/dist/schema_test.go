package dist

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A module with the schemas of Kubernetes, and the version that is compared with. Nothing of it
// is compiled.
const (
	schemaModule = "sigs.k8s.io/kubectl-validate@v0.0.4"
	schemaDir    = "pkg/openapiclient/builtins/1.30"
)

// TestKubernetes: the objects for Kubernetes have the fields of its schemas, with values of
// their types, and no others.
func TestKubernetes(t *testing.T) {
	made(t, "SHA256SUMS")
	cmd := exec.Command("go", "mod", "download", "-json", schemaModule)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err := errors.Join(err, json.Unmarshal(out, &module)); err != nil {
		t.Fatalf("%s: %v\n%s", schemaModule, err, out)
	}
	text, err := os.ReadFile("../../deploy/kubernetes/roost.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects := func(text string) (failures []error, n int) {
		for d := yaml.NewDecoder(strings.NewReader(text)); ; n++ {
			var object map[string]any
			err := d.Decode(&object)
			if errors.Is(err, io.EOF) {
				return failures, n
			}
			if err != nil {
				t.Fatal(err)
			}
			failures = append(failures, conform(t, filepath.Join(module.Dir, schemaDir), object)...)
		}
	}
	failures, n := objects(string(text))
	if len(failures) > 0 || n < 5 {
		t.Errorf("%d objects: %v", n, failures)
	}
	// It would notice mistakes.
	for right, wrong := range map[string]string{
		"serviceName:": "servicename:", "replicas: 3": "replicas: three", "matchLabels: {app": "matchLabels: {1: [], app",
		"periodSeconds: 30": "periodSeconds: 30s", "args: [serve,": "args: [7,", "  selector:\n": "  select:\n",
	} {
		if !strings.Contains(string(text), right) {
			t.Fatalf("%q is not there", right)
		}
		if failures, _ := objects(strings.Replace(string(text), right, wrong, 1)); len(failures) == 0 {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

// conform compares an object with the schema of its kind.
func conform(t *testing.T, dir string, object map[string]any) []error {
	t.Helper()
	version, _ := object["apiVersion"].(string)
	file, group, number := "api/"+version+".json", "", version
	if g, v, ok := strings.Cut(version, "/"); ok {
		file, group, number = "apis/"+version+".json", g, v
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	var described struct {
		Components struct{ Schemas map[string]*schema }
	}
	if err := errors.Join(err, json.Unmarshal(text, &described)); err != nil {
		t.Fatal(err)
	}
	all := described.Components.Schemas
	for _, s := range all {
		for _, kind := range s.Kinds {
			if kind.Group == group && kind.Version == number && kind.Kind == object["kind"] {
				return s.check(all, fmt.Sprint(object["kind"]), object)
			}
		}
	}
	return []error{fmt.Errorf("%s has no %v", version, object["kind"])}
}

// schema is what Kubernetes uses of OpenAPI's.
type schema struct {
	Ref                  string `json:"$ref"`
	Type                 string
	Properties           map[string]*schema
	Required             []string
	AdditionalProperties *schema
	Items                *schema
	AllOf, OneOf         []*schema
	Kinds                []struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
}

// check compares a value with the schema. at is where the value is.
func (s *schema) check(all map[string]*schema, at string, value any) (failures []error) {
	if s.Ref != "" {
		return all[strings.TrimPrefix(s.Ref, "#/components/schemas/")].check(all, at, value)
	}
	for _, part := range s.AllOf {
		failures = append(failures, part.check(all, at, value)...)
	}
	if len(s.OneOf) > 0 && !slices.ContainsFunc(s.OneOf, func(one *schema) bool { return len(one.check(all, at, value)) == 0 }) {
		failures = append(failures, fmt.Errorf("%s: %v has another type", at, value))
	}
	ok := true
	switch s.Type {
	case "string":
		_, ok = value.(string)
	case "boolean":
		_, ok = value.(bool)
	case "integer":
		_, ok = value.(int)
	case "number":
		if _, ok = value.(int); !ok {
			_, ok = value.(float64)
		}
	case "array":
		var list []any
		list, ok = value.([]any)
		for i, element := range list {
			failures = append(failures, s.Items.check(all, fmt.Sprintf("%s[%d]", at, i), element)...)
		}
	case "object":
		var fields map[string]any
		if fields, ok = value.(map[string]any); ok {
			failures = append(failures, s.fields(all, at, fields)...)
		}
	}
	if !ok {
		failures = append(failures, fmt.Errorf("%s: %v is no %s", at, value, s.Type))
	}
	return failures
}

// fields compares the fields of an object.
func (s *schema) fields(all map[string]*schema, at string, fields map[string]any) (failures []error) {
	for _, name := range s.Required {
		if _, ok := fields[name]; !ok {
			failures = append(failures, fmt.Errorf("%s lacks %s", at, name))
		}
	}
	for name, value := range fields {
		of := s.Properties[name]
		if of == nil {
			of = s.AdditionalProperties
		}
		switch {
		case of != nil:
			failures = append(failures, of.check(all, at+"."+name, value)...)
		case s.Properties != nil:
			failures = append(failures, fmt.Errorf("%s has no field %s", at, name))
		}
	}
	return failures
}
