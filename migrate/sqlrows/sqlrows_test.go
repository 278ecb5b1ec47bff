package sqlrows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// rowsOf returns what a source has, line by line: the rows of tables whose names begin with
// t, and the names of others.
func rowsOf(ctx context.Context, from Source) (got []string, err error) {
	err = from.Read(ctx, Receiver{
		Want: func(table string) bool { return strings.HasPrefix(table, "t") },
		Row: func(r *Row) error {
			line := r.At + " " + r.Table
			for i, c := range r.columns {
				line += fmt.Sprintf(" %s=%q", c, r.values[i])
			}
			got = append(got, line)
			return nil
		},
		Unread:  func(at, table string) { got = append(got, at+" unread "+table) },
		Problem: func(at, text string) { got = append(got, at+" problem: "+text) },
	})
	return got, err
}

// text is a source of a text.
func text(s string) Source {
	return Source{Name: "f", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }}
}

const (
	sqliteHeader = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
	pgHeader     = "--\n-- PostgreSQL database dump\n--\n\\restrict abc\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n"
	pgEnd        = "\n--\n-- PostgreSQL database dump complete\n--\n\\unrestrict abc\n"
	mysqlHeader  = "-- MySQL dump 10.13  Distrib 8\n/*!40101 SET NAMES utf8mb4 */;\n"
	mysqlEnd     = "/*!40101 SET x=@y */;\n-- Dump completed on 2026-01-01\n"
)

// TestDumps: what the programs of three databases write is read, with the places of rows.
func TestDumps(t *testing.T) {
	f := func(dump string, want ...string) {
		t.Helper()
		got, err := rowsOf(t.Context(), text(dump))
		if err != nil {
			got = append(got, err.Error())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\n%s\nwant\n%s", dump, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f(sqliteHeader+`CREATE TABLE t (a text PRIMARY KEY, "b ""c" varchar(10, 2) DEFAULT 'x,)' CHECK (a <> ')'), key, UNIQUE (a));
INSERT INTO t VALUES('a\','it''s',5);
INSERT INTO "t" VALUES(replace(replace('1\r\n2','\r',char(13)),'\n',char(10)),unistr('\u00e4\\\+01F642\U0001F6423\0041'),X'6162');
CREATE TABLE other(a);
INSERT INTO other VALUES('x;''y',1+2);
INSERT INTO other VALUES(3);
INSERT INTO t VALUES(NULL,-1.5e-3);
CREATE INDEX i ON t (a);
COMMIT;
`,
		`f:4 t a="a\\" b "c="it's" key="5"`, `f:5 t a="1\r\n2" b "c="ä\\🙂🙂3A" key="ab"`, `f:7 unread other`, `f:9 problem: a row of the table t has 2 values for 3 columns`)
	f(pgHeader+`CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$ INSERT INTO t VALUES (1); $$ ' $_$;
CREATE TABLE public.t (a text NOT NULL, key integer, "user" text DEFAULT 'x'::text);
COPY public.t (a, key, "user") FROM stdin;
it's \\ \t\x41\102\b\q	\N	ä
1	2
\.
COPY public.other (a) FROM stdin;
1
2
\.
INSERT INTO public.t VALUES ('a\', 1, E'\\\'''\n'), ('b', NULL, true) ON CONFLICT DO NOTHING;
INSERT INTO public.t (key) OVERRIDING SYSTEM VALUE VALUES ('b;');
`+pgEnd,
		`f:10 t a="it's \\ \tAB\bq" key="" user="ä"`, `f:11 problem: a row of the table t has 2 values for 3 columns`, `f:13 unread other`,
		`f:17 t a="a\\" key="1" user="\\''\n"`, `f:17 row 2 t a="b" key="" user="true"`, `f:18 t key="b;"`)
	f(mysqlHeader+"# comment; '\nDROP TABLE IF EXISTS `t`;\nCREATE TABLE `t` (\n  `a` text COLLATE utf8mb4_bin DEFAULT 'x\\',' COMMENT 'it''s',\n  `key` varchar(191),\n  PRIMARY KEY (`a`(75)),\n  KEY `i` (`key`)\n) ENGINE=InnoDB;\n"+
		"LOCK TABLES `t` WRITE;\nINSERT INTO `t` VALUES ('it\\'s \\\\ \\n\\r\\t\\0\\Z\\%\\\"',_binary '\\'x'),\n(0x6162,-3);\nINSERT IGNORE INTO `t` (`key`) VALUES (NULL);\nREPLACE INTO t VALUES (N'\\n',1);\nUNLOCK TABLES;\n"+mysqlEnd,
		`f:12 t a="it's \\ \n\r\t\x00\x1a%\"" key="'x"`, `f:13 row 2 t a="ab" key="-3"`, `f:14 t key=""`, `f:15 t a="\n" key="1"`)
	f("INSERT INTO `t` (a) VALUES ('\\'');", `f:1 t a="'"`) // backquotes are MySQL's
	f(sqliteHeader+"INSERT INTO t(a, b) VALUES(replace(replace('1\\n2\\r','\\r',char(13)),'\\n',char(10)), x'');\nCOMMIT;", `f:3 t a="1\n2\r" b=""`)
	long := strings.Repeat("ab", 2000)
	f(mysqlHeader+"INSERT INTO t(a, b) VALUES (0x"+long+",_binary X'"+long+"'), (0X4a,0);\n"+mysqlEnd,
		fmt.Sprintf("f:3 t a=%[1]q b=%[1]q", strings.Repeat("\xab", 2000)), `f:3 row 2 t a="J" b="0"`)
}

// TestSchemas: tables of the same names in several databases or schemas are not mixed.
func TestSchemas(t *testing.T) {
	f := func(schema, dump string, want ...string) {
		t.Helper()
		from := text(dump)
		from.Schema = schema
		got, err := rowsOf(t.Context(), from)
		if err != nil {
			got = append(got, err.Error())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\n%s\nwant\n%s", dump, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	two := mysqlHeader + "-- Host: localhost    Database: a\nCREATE DATABASE /*!32312 IF NOT EXISTS*/ `a`;\nUSE `a`;\nCREATE TABLE `t` (`x` int);\nINSERT INTO `t` VALUES (1);\nINSERT INTO `o` VALUES (1);\n" +
		"USE `b`;\nCREATE TABLE `t` (`x` int, `y` int);\nINSERT INTO `t` VALUES (2,3);\nINSERT INTO `p` VALUES (1);\n" + mysqlEnd
	f("", two, "f:7 t x=\"1\"", "f:8 unread o", `f:10: there are tables to import in more than one database or schema, such as t in "a" and t in "b": name the right one with --schema`)
	f("a", two, `f:7 t x="1"`, "f:8 unread o")
	f("b", two, `f:11 t x="2" y="3"`, "f:12 unread p")
	f("c", two, `f: there are no tables to import in "c": name one of these with --schema: "a", "b"`)
	f("c", mysqlHeader+"INSERT INTO `o` VALUES (1);\n"+mysqlEnd, `f: there are no tables to import in "c", and in no other database or schema`)
	f("c", sqliteHeader+"CREATE TABLE t (a);\nCOMMIT;\n", `f: there is no "c": the dump does not name its database: leave out --schema`)
	one := "-- Host: localhost    Database: a\nINSERT INTO t(x) VALUES (1);\n" + mysqlEnd
	f("", mysqlHeader+one, `f:4 t x="1"`)
	f("", mysqlHeader+one+mysqlHeader+strings.Replace(one, "a\n", "b\n", 1), `f:4 t x="1"`, `f:10: there are tables to import in more than one database or schema, such as t in "a" and t in "b": name the right one with --schema`)
	f("b", mysqlHeader+"INSERT INTO `a`.`t`(x) VALUES (1);\nINSERT INTO `b`.`t`(x) VALUES (2);\n"+mysqlEnd, `f:4 t x="2"`)

	f("", pgHeader+"CREATE TABLE public.t (x int);\nCREATE TABLE app.tt (x int);\n"+pgEnd,
		`f:8: there are tables to import in more than one database or schema, such as t in "public" and tt in "app": name the right one with --schema`)
	f("app", pgHeader+"CREATE TABLE public.t (x int);\nCREATE TABLE app.t (x int);\nCOPY public.t (x) FROM stdin;\n1\n\\.\nCOPY app.t (x) FROM stdin;\n2\n\\.\n"+pgEnd, `f:13 t x="2"`)
	f("b", pgHeader+"SET search_path = a, pg_catalog;\nINSERT INTO t(x) VALUES (1);\nSET search_path TO \"b\";\nINSERT INTO t(x) VALUES (2);\nSET search_path = '';\n"+pgEnd, `f:10 t x="2"`)
	f("d.public", "\\connect c\n"+pgHeader+"INSERT INTO public.t(x) VALUES (1);\n"+pgEnd+"\\connect \"d\"\n"+pgHeader+"INSERT INTO public.t(x) VALUES (2);\n"+pgEnd, `f:21 t x="2"`)
	f("", "\\connect c\n"+pgHeader+"INSERT INTO public.t(x) VALUES (1);\n"+pgEnd+"\\c d\n"+pgHeader+"INSERT INTO public.t(x) VALUES (2);\n"+pgEnd, `f:8 t x="1"`,
		`f:21: there are tables to import in more than one database or schema, such as t in "c.public" and t in "d.public": name the right one with --schema`)
	f("", pgHeader+"CREATE TABLE t (x int);\n"+pgEnd+pgHeader+"CREATE TABLE t (x int);\n"+pgEnd, "f:19: the table t is there twice: the file has more than one dump")
	many := strings.Builder{}
	for i := range 2 * maxScopes {
		fmt.Fprintf(&many, "INSERT INTO s%d.t(x) VALUES (%d);\n", i, i)
	}
	f("s15", many.String(), `f:16 t x="15"`)
}

// TestBadDumps: a file that is not complete, or that is not what these programs write, is an
// error with its line.
func TestBadDumps(t *testing.T) {
	f := func(dump, want string) {
		t.Helper()
		if got, err := rowsOf(t.Context(), text(dump)); err == nil || !strings.HasPrefix(err.Error(), "f") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100q: %q, %v; want %s", dump, got, err, want)
		}
	}
	f("", "f: the file has no tables")
	f("SELECT 1;", "f: the file has no tables")
	f("jid,password\n", "f:2: the file is not complete: it ends in a statement")
	f(`{"format":1}`, `f:1: not SQL: a statement begins with '{'`)
	f(sqliteHeader+"INSERT INTO t(a) VALUES(1);", "f:3: the file is not complete: what the program writes at the end")
	f(sqliteHeader+"ROLLBACK; -- due to errors", "f:3: the dump ends with ROLLBACK")
	f(pgHeader+"INSERT INTO t(a) VALUES(1);", "f:7: the file is not complete: what")
	f(mysqlHeader+"INSERT INTO t(a) VALUES(1);", "f:3: the file is not complete: what")
	f(pgHeader+"COPY t (a) FROM stdin;\n1\n", "f:9: the file is not complete: it ends in the rows of the table t")
	f(pgHeader+"COPY t (a) FROM stdin;\n1", "the file is not complete: it ends in the rows of the table t")
	f("COPY t (a) FROM 'file';", "f:1: COPY that is not from stdin")
	f("INSERT INTO t(a) VALUES('1", "f:1: the file is not complete: it ends in a statement")
	f("INSERT INTO t(a) VALUES(1)", "f:1: ")
	f("INSERT INTO t(a) VALUES('\\');", "f:1: a string has a backslash, and which database has written the file is unknown")
	f("INSERT INTO t(a) VALUES(1)(2);", "f:1: neither a comma nor a semicolon")
	f("INSERT INTO t(a) VALUES(1+2);", "f:1: ')' is missing")
	f("INSERT INTO t(a) VALUES(b);", `f:1: "b" is not a constant`)
	f("INSERT INTO t(a) VALUES(\"b\");", "f:1: neither a constant")
	f("INSERT INTO t(a) VALUES(1x);", `f:1: "1x" is not a number`)
	f("INSERT INTO t(a) VALUES(x'0');", "f:1: a value in hexadecimal digits")
	f("INSERT INTO t(a) VALUES(replace('a'));", "f:1: the function REPLACE has a wrong number")
	f("INSERT INTO t(a) VALUES(char(99999999));", "f:1: the argument of CHAR")
	f(sqliteHeader+`INSERT INTO t(a) VALUES(unistr('\00'));`, "f:3: an escape sequence of UNISTR is not complete")
	f(sqliteHeader+`INSERT INTO t(a) VALUES(unistr('\00xy'));`, "f:3: an escape sequence of UNISTR is not hexadecimal")
	f("INSERT INTO t(a) VALUES(replace('"+strings.Repeat("a", 1<<14)+"','a','"+strings.Repeat("b", 1<<14)+"'));", "f:1: a value is larger than 32 MiB")
	f("INSERT INTO t SELECT 1;", "f:1: the columns of the table t are unknown")
	f("INSERT INTO t(a) SELECT 1;", "f:1: INSERT without VALUES")
	f("INSERT t(a) VALUES(1);", "f:1: INSERT without INTO")
	f("CREATE TABLE t (a", "the file is not complete")
	f("CREATE TABLE t ("+strings.Repeat("a,", 2000), "f:1: the table t has more than 1000 columns")
	f("INSERT INTO t("+strings.Repeat("a,", 2000), "f:1: more than 1000 columns")
	f("INSERT INTO t(a) VALUES("+strings.Repeat("1,", 2000), "or has more than 1000 values")
	f("INSERT INTO "+strings.Repeat("t", 300), "f:1: a word is longer than 256 bytes")
	f("INSERT INTO `"+strings.Repeat("t", 300), "f:1: a name is longer than 256 bytes")
	f("INSERT INTO t(a) VALUES("+strings.Repeat("(", 10), "f:1: neither a constant")
	f("INSERT INTO t(a) VALUES("+strings.Repeat("replace(", 1<<20), "f:1: more than 5 values are nested")
	f("INSERT INTO t(a) VALUES("+strings.Repeat("_binary ", 1<<20), "f:1: more than 5 values are nested")
	f("INSERT INTO t(a) VALUES(0xabc);", "f:1: a value in hexadecimal digits has others, or an odd number")
	f("INSERT INTO t(a) VALUES(0xag);", "f:1: a value in hexadecimal digits has others, or an odd number")
	f("SET client_encoding = 'LATIN1';", `f:1: the text is in the character set "latin1"`)
	f("SET client_encoding TO latin1;", `f:1: the text is in the character set "latin1"`)
	f("SET standard_conforming_strings = off;", "f:1: the dump was written with standard_conforming_strings off")
	f("/*!40101 SET NAMES latin1 */;", `f:1: the text is in the character set "latin1`)
	f("PGDMP\x01", "f: the file is an archive of pg_dump")
	f("\x1f\x8b\x08", "f: the file is compressed")
}

// endless is a file without an end.
type endless struct{ text string }

func (e endless) Read(p []byte) (int, error) {
	return copy(p, strings.Repeat(e.text, len(p)/len(e.text)+1)), nil
}
func (endless) Close() error { return nil }

// TestLimits: nothing that a file can have fills the memory, and reading ends with the
// context.
func TestLimits(t *testing.T) {
	for _, start := range []string{"INSERT INTO t(a) VALUES(1),('", "COPY t(a) FROM stdin;\n", "INSERT INTO t(a) VALUES(0x"} {
		in := io.MultiReader(strings.NewReader(start), endless{"a"})
		_, err := rowsOf(t.Context(), Source{Name: "f", Open: func() (io.ReadCloser, error) { return io.NopCloser(in), nil }})
		if err == nil || !strings.Contains(err.Error(), "larger than 32 MiB") {
			t.Errorf("%q…: %v", start, err)
		}
	}
	for _, text := range []string{"INSERT INTO t(a) VALUES(1);\n", ";", "INSERT INTO u(a) VALUES(1);"} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := rowsOf(ctx, Source{Name: "f", Open: func() (io.ReadCloser, error) { return endless{text}, nil }}); !errors.Is(err, context.Canceled) {
			t.Errorf("%q…: %v", text, err)
		}
	}
}

// TestSQLite: a database file is read.
func TestSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.db")
	c, err := sqlite.OpenConn(file, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err == nil {
		err = sqlitex.ExecuteScript(c, `CREATE TABLE "t ""x" (a TEXT, b INT, c); CREATE TABLE other (a); CREATE TABLE empty (a); INSERT INTO other VALUES (1); CREATE TABLE tw (a PRIMARY KEY) WITHOUT ROWID; INSERT INTO tw VALUES ('k');
			INSERT INTO "t ""x" VALUES ('ä', 5, NULL), ('', 1.5, X'00ff');`, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	open := func() (io.ReadCloser, error) { return os.Open(file) }
	got, err := rowsOf(t.Context(), Source{Name: file, Open: open})
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], file, "FILE")
	}
	want := []string{`FILE: table t "x rowid 1 t "x a="ä" b="5" c=""`, `FILE: table t "x rowid 2 t "x a="" b="1.5" c="\x00\xff"`, "FILE: table other unread other", `FILE: table tw tw a="k"`}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := rowsOf(t.Context(), Source{Name: "-", Open: open}); err == nil || !strings.Contains(err.Error(), "standard input") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rowsOf(ctx, Source{Name: file, Open: open}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte(sqliteMagic+strings.Repeat("x", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := rowsOf(t.Context(), Source{Name: file, Open: open}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestURL: errors do not contain the password.
func TestURL(t *testing.T) {
	for name, want := range map[string]string{
		"mysql://a:secret@127.0.0.1:1/c": "failed to connect to mysql://a:xxxxx@127.0.0.1:1/c", "mysql://a:secret@b": "does not name a database", "redis://a:secret@b/c?password=secret&sslpassword=secret": "redis://a:xxxxx@b/c?password=xxxxx&sslpassword=xxxxx is not the URL", "postgres://a:secret@[b/c": "not a valid URL",
		"postgres://a:secret@127.0.0.1:1/c?connect_timeout=1": "failed to connect",
	} {
		if _, err := rowsOf(t.Context(), Source{Name: name}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if IsURL("/a/b://c") || IsURL("./x://") || IsURL("a") || !IsURL("x://") {
		t.Error("IsURL")
	}
}

// TestSorter: rows come in the order of their keys, and with the same content.
func TestSorter(t *testing.T) {
	s, err := NewSorter()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	columns := []string{"a", "b"}
	add := func(k Key, values ...string) {
		t.Helper()
		if err := s.Add(k, &Row{Table: "t" + values[0], At: "f:" + values[1], columns: columns, values: values}); err != nil {
			t.Fatal(err)
		}
	}
	add(Key{"b", "a", 0, 0}, "1", "")
	add(Key{"a", "b", 1, 0}, "2", "x\x00y")
	add(Key{"a", "b", 0, 2}, "3", "ä")
	add(Key{"a", "b", 0, 1}, "4", "z")
	add(Key{"a", "b", 0, 2}, "5", "a")
	add(Key{"a", "B", 0, 0}, "6", "")
	for _, id := range []string{"1", "2", "1"} {
		if err := s.Keep(id, &Row{Table: "k", At: id, columns: columns[:1], values: []string{id}}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err = s.Each(t.Context(), func(k Key, r *Row) error {
		kept := 0
		err := s.Kept(t.Context(), k.Host+"1"[:k.Part], func(r *Row) error {
			kept++
			return nil
		})
		got = append(got, fmt.Sprintf("%s@%s %d %s %s %q %s %d", k.User, k.Host, k.Part, r.Table, r.At, r.Text("b"), r.Text("none"), kept))
		return err
	})
	want := []string{`B@a 0 t6 f: ""  0`, `b@a 0 t4 f:z "z"  0`, `b@a 0 t3 f:ä "ä"  0`, `b@a 0 t5 f:a "a"  0`, `b@a 1 t2 f:` + "x\x00y" + ` "x\x00y"  0`, `a@b 0 t1 f: ""  0`}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	kept := ""
	if err := s.Kept(t.Context(), "1", func(r *Row) error { kept += r.Table + r.At + r.Text("a"); return nil }); err != nil || kept != "k11k11" {
		t.Errorf("%q, %v", kept, err)
	}
	for i := range maxShapes {
		err = s.Add(Key{}, &Row{Table: fmt.Sprint("x", i)})
	}
	if err == nil || !strings.Contains(err.Error(), "lists of columns") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Each(ctx, func(Key, *Row) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
