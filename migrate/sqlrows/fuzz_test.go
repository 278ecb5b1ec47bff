package sqlrows

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// read returns the rows of a dump, its problems and its error, read by a buffer of a size.
func read(t *testing.T, dump string, size int) (got []string) {
	in := bufio.NewReaderSize(strings.NewReader(dump), size)
	if size < 100 {
		in = bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(dump)), size)
	}
	bytes := 0
	err := newDump("f", "", in, Receiver{
		Want: func(table string) bool { return !strings.HasPrefix(table, "u") || table == "users" },
		Row: func(r *Row) error {
			if len(r.columns) != len(r.values) {
				t.Errorf("%s: %d values for %d columns", r.At, len(r.values), len(r.columns))
			}
			bytes += len(r.String())
			got = append(got, r.At+" "+r.Table+" "+r.String())
			return nil
		},
		Unread:  func(at, table string) { got = append(got, at+" unread "+table) },
		Problem: func(at, text string) { got = append(got, at+" problem: "+text) },
	}).read(context.Background())
	if len(got) > len(dump) || bytes > len(dump)*len(dump) { // REPLACE can multiply
		t.Errorf("%d rows of %d bytes in %d bytes", len(got), bytes, len(dump))
	}
	return append(got, fmt.Sprint(err))
}

// FuzzDump: no file makes the reader panic, what a row has comes from the file, and how the
// file is divided into reads changes nothing.
func FuzzDump(f *testing.F) {
	f.Add(sqliteHeader + "CREATE TABLE t(a text, UNIQUE (a));\nINSERT INTO t VALUES(replace('a\\n','\\n',char(10)));\nINSERT INTO u VALUES(unistr('\\u0041'));\nCOMMIT;\n")
	f.Add(pgHeader + "CREATE FUNCTION f() AS $a$ x $a$;\nCOPY t (a, \"b\") FROM stdin;\n\\x41\\101	\\N\n\\.\n" + pgEnd)
	f.Add(mysqlHeader + "CREATE TABLE `t` (`a` text, KEY `a` (`a`));\nINSERT INTO `t` VALUES ('\\n',_binary 'x',0x41,-1.5e3),('',NULL,1,2);\n" + mysqlEnd)
	f.Add(mysqlHeader + "USE `a`;\nINSERT INTO b.t(c) VALUES (X'41');\n\\connect d\nSET search_path = e;\nINSERT INTO t(c) VALUES (1);\n" + mysqlEnd)
	for _, name := range []string{"../ejabberd/testdata/ejabberd.sql", "../ejabberd/testdata/postgres.sql", "../ejabberd/testdata/mariadb.sql", "../prosody/testdata/prosody.sql"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, s string) {
		if whole, bytes := read(t, s, 1<<18), read(t, s, 16); !slices.Equal(whole, bytes) {
			t.Errorf("%q, and byte by byte %q", whole, bytes)
		}
	})
}

// FuzzValue: each value that a database can have is read as it is, from what each of the
// programs writes.
func FuzzValue(f *testing.F) {
	f.Add("", "it's \\ \"\r\n\t\x00\x1a\b\f\v")
	f.Add("\\.", "ä🙂\xff'")
	f.Add(`\N`, `'');--`)
	f.Fuzz(func(t *testing.T, a, b string) {
		quote := strings.NewReplacer("'", "''").Replace
		text := func(s string) string { return "'" + quote(s) + "'" }
		lines := func(s string) string { // of sqlite3 .dump, if the string has neither of \n and \r
			if strings.Contains(s, `\n`) || strings.Contains(s, `\r`) || !strings.ContainsAny(s, "\r\n") {
				return text(s)
			}
			return `replace(replace('` + strings.NewReplacer("'", "''", "\n", `\n`, "\r", `\r`).Replace(s) + `','\r',char(13)),'\n',char(10))`
		}
		copied := strings.NewReplacer(`\`, `\\`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`).Replace
		escape := strings.NewReplacer(`\`, `\\`, "'", `\'`, "\x00", `\0`, "\n", `\n`, "\r", `\r`, `"`, `\"`, "\x1a", `\Z`).Replace
		mysql := func(s string) string { return "'" + escape(s) + "'" }
		hex := func(s string) string {
			if s == "" {
				return "''"
			}
			return fmt.Sprintf("0x%X", s)
		}
		for _, dump := range []string{
			sqliteHeader + "INSERT INTO t(a,b) VALUES(" + text(a) + "," + lines(b) + ");\nCOMMIT;\n",
			pgHeader + "COPY t (a, b) FROM stdin;\n" + copied(a) + "\t" + copied(b) + "\n\\.\n" + pgEnd,
			pgHeader + "INSERT INTO t(a, b) VALUES (" + text(a) + ", E'" + strings.NewReplacer("'", `''`, `\`, `\\`).Replace(b) + "');\n" + pgEnd,
			mysqlHeader + "INSERT INTO t(a,b) VALUES (" + mysql(a) + ",_binary " + mysql(b) + ");\n" + mysqlEnd,
			mysqlHeader + "INSERT INTO t(a,b) VALUES (" + hex(a) + "," + hex(b) + ");\n" + mysqlEnd,
		} {
			got := ""
			err := newDump("f", "", bufio.NewReader(strings.NewReader(dump)), Receiver{
				Want: func(string) bool { return true }, Row: func(r *Row) error { got = r.Text("a") + "|" + r.Text("b"); return nil },
			}).read(t.Context())
			if want := a + "|" + b; err != nil || got != want {
				t.Errorf("%q: %q, %v; want %q", dump, got, err, want)
			}
		}
	})
}
