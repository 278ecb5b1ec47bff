package scripts

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestUPlotVersion: the version of uPlot that the script downloads is the one in the
// repository and in docs/licenses.md.
func TestUPlotVersion(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	m := regexp.MustCompile(`(?m)^version=([0-9.]+)\nsha512=[0-9a-f]{128}$`).FindStringSubmatch(read("vendor-uplot.sh"))
	if m == nil {
		t.Fatal("the script has no version and SHA-512")
	}
	const dir = "../admin/dashboard/assets/uplot/"
	for name, want := range map[string]string{
		dir + "uPlot.iife.min.js": "/*! https://github.com/leeoniya/uPlot (v" + m[1] + ") */",
		dir + "LICENSE":           "The MIT License (MIT)",
		"../docs/licenses.md":     "[uPlot](https://github.com/leeoniya/uPlot) " + m[1] + " (MIT)",
	} {
		if !strings.Contains(read(name), want) {
			t.Errorf("%s does not contain %q", name, want)
		}
	}
}

// TestLicensesHaveUPlot: the texts of the licenses of a program that contains the dashboard
// have that of uPlot; of one that does not, they have not.
func TestLicensesHaveUPlot(t *testing.T) {
	for program, want := range map[string]bool{"./cmd/roost": true, "./jid": false} {
		cmd := exec.Command("scripts/licenses.sh", program)
		cmd.Dir = ".."
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := strings.Contains(string(out), "==== uPlot: LICENSE") && strings.Contains(string(out), "Leon Sorokin"); got != want {
			t.Errorf("%s: the license of uPlot: %v, want %v", program, got, want)
		}
	}
}
