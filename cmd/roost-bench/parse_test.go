package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"roost/internal/cmdtest"
	"roost/parser"
)

// capture writes a file that contains a stream.
func capture(t *testing.T, name, stanzas string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	text := "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>" + stanzas
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBenchParse: one line per implementation and file, as text and as JSON.
func TestBenchParse(t *testing.T) {
	a := capture(t, "a.xml", strings.Repeat("<message to='a@b'><body>text &amp; more</body></message>", 2000)+"</stream:stream>")
	b := capture(t, "b.xml", strings.Repeat("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", 2000))
	code, out, errs := cmdtest.Result(t, nil, "parse", a, b, "--chunk", "1000", "--json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, key := range []string{"mb_per_s", "ns_per_stanza", "allocs_per_stanza", "ratio"} {
			if n, ok := r[key].(float64); !ok || n < 0 || n == 0 && key != "allocs_per_stanza" {
				t.Errorf("%s: %s is %v", line, key, r[key])
			}
		}
		if len(r) != 6 {
			t.Errorf("%s: %d keys, want 6", line, len(r))
		}
		seen[r["corpus"].(string)+" "+r["impl"].(string)] = true
	}
	for _, impl := range []string{"portable", "vector", "encoding/xml"} {
		for _, corpus := range []string{"a.xml", "b.xml"} {
			if !seen[corpus+" "+impl] && (impl != "vector" || parser.HasVector()) {
				t.Errorf("no line for %s of %s:\n%s", impl, corpus, out)
			}
		}
	}
	if !seen["a.xml expat"] && !strings.Contains(errs, "left out: expat") {
		t.Errorf("no line for expat, and no reason: %s", errs)
	}
	code, out, _ = cmdtest.Result(t, nil, "parse", a)
	if code != 0 || !strings.Contains(out, "a.xml: 112,115 bytes, 2,000 stanzas of 56 bytes, in pieces of 4,096\n") || !strings.Contains(out, "\n  encoding/xml ") {
		t.Errorf("exit code %d, %s", code, out)
	}
}

// TestBenchParseMade: without files, traffic is generated.
func TestBenchParseMade(t *testing.T) {
	var out bytes.Buffer
	c := parseCmd{Chunk: 4096, JSON: true}
	if err := c.run(&out, &bytes.Buffer{}, 100<<10); err != nil {
		t.Fatal(err)
	}
	for _, corpus := range []string{"mix", "small", "large", "utf8"} {
		if !strings.Contains(out.String(), `{"corpus":"`+corpus+`","impl":"portable","mb_per_s":`) {
			t.Errorf("no line for %s:\n%s", corpus, out.String())
		}
	}
}

// TestBenchParseMistakes: each error is one clear line.
func TestBenchParseMistakes(t *testing.T) {
	good := capture(t, "good.xml", "<m/>")
	f := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append([]string{"parse"}, args...)...)
		if got != code || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%q: exit code %d, error %q, output %q; want %d and one line with %q", args, got, stderr, stdout, code, want)
		}
	}
	f(2, "--chunk", "--chunk", "0")
	f(2, "--chunk", "--chunk", "some")
	f(2, "--fast", "--fast")
	f(1, "none.xml", filepath.Join(t.TempDir(), "none.xml"))
	f(1, "is not an XMPP capture: byte 104: ", good, capture(t, "bad.xml", "<m></n>"))
	f(1, "ends within the element", capture(t, "cut.xml", "<m><n>"))
	f(1, "the stream is empty", capture(t, "empty.xml", ""))
	f(1, "is a directory", t.TempDir())
}
