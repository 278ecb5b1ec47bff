package metrics

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	rules     = "../../deploy/prometheus/roost.rules.yml"
	dashboard = "../../deploy/grafana/roost.json"
)

var (
	metricUsed  = regexp.MustCompile(`\b(roost|process|go)_[a-z0-9_]+\b(\{[^{}]*\})?`)
	matcherUsed = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	groupedBy   = regexp.MustCompile(`\b(?:by|ignoring|on) \(([a-z_, ]+)\)`)
)

// TestDeployedNames: the alert rules and the dashboard use only metrics and labels that are
// exported.
func TestDeployedNames(t *testing.T) {
	exported := gather(t)
	labels := map[string]bool{"instance": true, "job": true, "le": true}
	ofMetric := func(name string) (all []string, ok bool) {
		f := exported[name]
		if f == nil {
			return nil, false
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				all = append(all, l.GetName())
				labels[l.GetName()] = true
			}
			if m.GetSummary() != nil {
				all = append(all, "quantile")
			}
		}
		return append(all, "instance", "job", "le"), true
	}
	for _, file := range []string{rules, dashboard} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(raw), `\"`, `"`)
		used := 0
		for _, m := range metricUsed.FindAllStringSubmatch(text, -1) {
			name, matchers, _ := strings.Cut(m[0], "{")
			used++
			have, ok := ofMetric(name)
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				if base, cut := strings.CutSuffix(name, part); !ok && cut && exported[base].GetType().String() == "HISTOGRAM" {
					have, ok = ofMetric(base)
				}
			}
			if !ok {
				t.Errorf("%s: %s is not exported", file, name)
				continue
			}
			for _, l := range matcherUsed.FindAllStringSubmatch(matchers, -1) {
				if !slices.Contains(have, l[1]) {
					t.Errorf("%s: %s has no label %s", file, name, l[1])
				}
			}
		}
		for _, m := range groupedBy.FindAllStringSubmatch(text, -1) {
			for label := range strings.SplitSeq(m[1], ", ") {
				if !labels[label] {
					t.Errorf("%s: there is no label %s", file, label)
				}
			}
		}
		if used < 20 {
			t.Errorf("%s: only %d metrics were found: the test no longer finds them", file, used)
		}
	}
}

// TestAlerts: each alert has what the one who is woken up needs.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	alerts := strings.Split(string(text), "- alert: ")[1:]
	if len(alerts) < 15 {
		t.Errorf("%d alerts", len(alerts))
	}
	seen := make(map[string]bool)
	for _, a := range alerts {
		name, _, _ := strings.Cut(a, "\n")
		if seen[name] || !strings.HasPrefix(name, "Roost") {
			t.Errorf("%s is there twice, or is not named after the program", name)
		}
		seen[name] = true
		for _, field := range []string{`\n +expr: .+`, `\n +for: [0-9]+[mh]\n`, `\n +severity: (critical|warning)\n`, `\n +summary: ".{20,}"\n`, `\n +action: ".{20,}"\n`} {
			if !regexp.MustCompile(field).MatchString(a) {
				t.Errorf("%s has no %s", name, field)
			}
		}
	}
}

// unitsOf returns the units of Grafana that fit the result of a query.
func unitsOf(query string) []string {
	has := func(part string) bool { return strings.Contains(query, part) }
	rate := has("rate(")
	switch {
	case has("histogram_quantile("), has("_duration_seconds{"):
		return []string{"s"}
	case has("_timestamp_seconds") && has("/ 86400"):
		return []string{"d"}
	case has("_bytes_total") && rate:
		return []string{"Bps"}
	case has("_bytes"):
		return []string{"bytes"}
	case has("cpu_seconds_total"):
		return []string{"none"} // CPUs
	case rate && has(" / "):
		return []string{"percentunit", "short"}
	case rate:
		return []string{"ops"}
	}
	return []string{"short"}
}

// TestDashboard: the dashboard is JSON that Grafana can import, without overlapping panels.
// Each panel says what it shows, and each query has a unit that fits.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title, UID string
		Panels     []struct {
			ID                       int
			Type, Title, Description string
			GridPos                  struct{ X, Y, W, H int }
			Targets                  []struct{ Expr, LegendFormat string }
			FieldConfig              struct {
				Defaults  struct{ Unit string }
				Overrides []struct {
					Matcher    struct{ ID, Options string }
					Properties []struct {
						ID    string
						Value any
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || len(d.Panels) < 20 {
		t.Errorf("%q %q with %d panels", d.Title, d.UID, len(d.Panels))
	}
	ids, cells := make(map[int]bool), make(map[[2]int]string)
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && (len(p.Targets) == 0 || p.Description == "") {
			t.Errorf("panel %d %q is not complete", p.ID, p.Title)
		}
		ids[p.ID] = true
		units := make(map[string]string) // by legend
		for _, o := range p.FieldConfig.Overrides {
			for _, property := range o.Properties {
				if o.Matcher.ID == "byName" && property.ID == "unit" {
					units[o.Matcher.Options] = fmt.Sprint(property.Value)
				}
			}
		}
		for _, target := range p.Targets {
			unit := cmp.Or(units[target.LegendFormat], p.FieldConfig.Defaults.Unit)
			if !slices.Contains(unitsOf(target.Expr), unit) {
				t.Errorf("%q has the unit %q, which is not that of %s", p.Title, unit, target.Expr)
			}
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q overlaps %q, or is too wide", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
}
