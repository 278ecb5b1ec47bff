//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPrometheus: Debian's Prometheus accepts the alert rules, the configuration and the
// dashboard's queries of deploy, scrapes a running server with a token, and answers queries.
func TestPrometheus(t *testing.T) {
	if os.Getenv("INTEROP_SERVER") != "" {
		t.Skip("the other server has no metrics")
	}
	const rules = "../../deploy/prometheus/roost.rules.yml"
	if out, err := exec.Command("promtool", "check", "rules", rules).CombinedOutput(); err != nil || !strings.Contains(string(out), "rules found") {
		t.Fatalf("promtool: %v (the packages in packages.txt have to be installed)\n%s", err, out)
	}
	dir := t.TempDir()
	checkDashboard(t, dir)
	admin := freeAddress(t)
	tokens := filepath.Join(dir, "admin-tokens")
	out, err := exec.Command(buildRoost(t), "admin", "token", "add", "prometheus", "--scope", "read", "--admin-tokens", tokens).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, out, 0o600); err != nil {
		t.Fatal(err)
	}
	s := roost(t, "--admin", admin, "--admin-tokens", tokens)
	_ = s.users(t, 1) // something to count: writes of the store
	base := startPrometheus(t, dir, admin, token)

	type result struct {
		Metric map[string]string
		Value  [2]any // time and value
	}
	query := func(promQL string) (all []result) {
		t.Helper()
		var answer struct {
			Status, Error string
			Data          struct{ Result []result }
		}
		if err := getJSON(base+"/api/v1/query?query="+url.QueryEscape(promQL), &answer); err != nil || answer.Status != "success" {
			t.Fatalf("%s: %v %s", promQL, err, answer.Error)
		}
		return answer.Data.Result
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for len(query("roost_connections_accepted_total > 0")) == 0 { // the probe for the port, at least
		select {
		case <-ctx.Done():
			t.Fatalf("the server is not scraped: %+v", query("up"))
		case <-time.After(100 * time.Millisecond):
		}
	}
	scraped := time.Now()
	if up := query(`up{job="roost"} == 1`); len(up) != 1 || up[0].Metric["instance"] != admin {
		t.Errorf("up: %+v", up)
	}
	if q := query(`sum by (class) (roost_store_operation_duration_seconds_count)`); len(q) != 2 {
		t.Errorf("%+v", q)
	}
	var loaded struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Name, Health, LastError, State string
					LastEvaluation                 time.Time
				}
			}
		}
	}
	evaluated := func() bool {
		if err := getJSON(base+"/api/v1/rules", &loaded); err != nil || len(loaded.Data.Groups) != 1 {
			t.Fatalf("%v %+v", err, loaded)
		}
		for _, r := range loaded.Data.Groups[0].Rules {
			if r.Health != "ok" && r.Health != "unknown" {
				t.Fatalf("%s: %s", r.Name, r.LastError)
			}
			if r.Health == "unknown" || r.LastEvaluation.Before(scraped) {
				return false
			}
		}
		return true
	}
	for !evaluated() {
		select {
		case <-ctx.Done():
			t.Fatalf("the rules are not evaluated: %+v", loaded)
		case <-time.After(100 * time.Millisecond):
		}
	}
	for _, r := range loaded.Data.Groups[0].Rules {
		// The machine may be small, and nobody has made a backup.
		if r.State != "inactive" && r.Name != "RoostCapacityLow" && r.Name != "RoostBackupOld" {
			t.Errorf("%s is %s on an idle server", r.Name, r.State)
		}
	}
}

// TestBackupAlert: a server without a backup for two days is reported, and a cluster only if none of
// its nodes has made one. Bug: all nodes but that one were.
func TestBackupAlert(t *testing.T) {
	rules, err := filepath.Abs("../../deploy/prometheus/roost.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var series, alerts strings.Builder
	node := func(job, instance string, backup int, cluster bool) {
		fmt.Fprintf(&series, "      - {series: 'roost_backup_last_success_timestamp_seconds{job=%q,instance=%q}', values: '%d+0x72'}\n", job, instance, backup)
		if cluster {
			fmt.Fprintf(&series, "      - {series: 'roost_cluster_reachable{job=%q,instance=%q}', values: '1+0x72'}\n", job, instance)
		}
	}
	reported := func(labels, name string) {
		fmt.Fprintf(&alerts, "          - exp_labels: {severity: warning, %s}\n            exp_annotations:\n              summary: %q\n              action: %q\n", labels,
			name+" has not been backed up for two days, or never.",
			"See why roost-backup.service fails (systemctl status roost-backup), or set it up (docs/backup.md). Remove this rule if you make backups in another way.")
	}
	const dayAgo, never = 48 * 3600, 0 // at the end, three days after the beginning of time
	node("roost", "new:1", dayAgo, false)
	node("roost", "old:1", never, false)
	reported("job: roost, instance: 'old:1'", "old:1")
	node("one of two", "a:1", dayAgo, true)
	node("one of two", "b:1", never, true)
	node("none", "c:1", never, true)
	node("none", "d:1", never, true)
	reported("job: none", "none")
	file := filepath.Join(t.TempDir(), "test.yml")
	text := fmt.Sprintf("rule_files: [%q]\nevaluation_interval: 1h\ntests:\n  - interval: 1h\n    input_series:\n%s    alert_rule_test:\n      - eval_time: 72h\n        alertname: RoostBackupOld\n        exp_alerts:\n%s", rules, &series, &alerts)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v (the packages in packages.txt have to be installed)\n%s\n%s", err, out, text)
	}
}

// checkDashboard has promtool read the queries of the dashboard, as rules.
func checkDashboard(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/roost.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$job", "roost", "$instance", ".*")
	rules := "groups:\n- name: dashboard\n  rules:\n"
	queries := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries++
			rules += fmt.Sprintf("  - record: query%d\n    expr: %q\n", queries, variables.Replace(target.Expr))
		}
	}
	file := filepath.Join(dir, "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "check", "rules", file).CombinedOutput(); err != nil || queries < 40 {
		t.Errorf("the %d queries of the dashboard: %v\n%s", queries, err, out)
	}
}

// startPrometheus runs Prometheus with the files of deploy, which it gets with another
// target, token and interval. It returns the URL of its API.
func startPrometheus(t *testing.T, dir, target, token string) string {
	t.Helper()
	for _, name := range []string{"prometheus.yml", "roost.rules.yml"} {
		text, err := os.ReadFile(filepath.Join("../../deploy/prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		changed := string(text)
		if name == "prometheus.yml" {
			changed = strings.NewReplacer("127.0.0.1:5280", target, "/etc/prometheus/roost.token", token, "interval: 15s", "interval: 1s").Replace(changed)
			if strings.Contains(changed, "15s") || !strings.Contains(changed, target) || !strings.Contains(changed, token) {
				t.Fatalf("%s has changed: adapt the test\n%s", name, changed)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr := freeAddress(t)
	var log logBuffer
	cmd := exec.Command("prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "tsdb"), "--web.listen-address", addr)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("prometheus: %v (the packages in packages.txt have to be installed)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("--- prometheus:\n%s", log.tail())
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		resp, err := http.Get("http://" + addr + "/-/ready")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return "http://" + addr
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("prometheus is not ready: %v\n%s", err, log.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func getJSON(target string, v any) error {
	resp, err := http.Get(target)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %.200s", err, text)
	}
	return nil
}
