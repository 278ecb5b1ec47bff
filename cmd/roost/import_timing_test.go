package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"roost/internal/cmdtest"
)

// The limits of an import of a million accounts with keys. The time is that of CPUs, because others
// may use the machine.
const (
	importTime   = 5 * time.Minute
	importMemory = 500 << 20
)

// BenchmarkImportKeys imports a million accounts with a key and a contact each, from a dump of
// ejabberd's database in PostgreSQL, in a process of its own.
func BenchmarkImportKeys(b *testing.B) {
	const accounts = 1_000_000
	file := filepath.Join(b.TempDir(), "ejabberd.sql")
	if err := writeDump(file, accounts); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cmd := cmdtest.Program(nil, "import", file, "--from", "ejabberd", "--create", "--data", b.TempDir())
		start := time.Now()
		out, err := cmd.CombinedOutput()
		took := time.Since(start)
		if err != nil || !strings.Contains(string(out), "imported 1,000,000 accounts with 1,000,000 contacts") {
			b.Fatalf("%v: %s", err, out)
		}
		used := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		memory, cpu := used.Maxrss<<10, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
		b.ReportMetric(accounts/took.Seconds(), "accounts/s")
		b.ReportMetric(cpu.Seconds(), "CPU-s")
		b.ReportMetric(float64(memory)/1e6, "RSS-MB")
		if cpu > importTime || memory > importMemory {
			b.Errorf("it took %v and %d bytes, more than %v or %d", cpu, memory, importTime, importMemory)
		}
	}
}

// writeDump writes what pg_dump writes of the accounts and rosters of ejabberd.
func writeDump(name string, accounts int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprint(w, "--\n-- PostgreSQL database dump\n--\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n"+
		"COPY public.rosterusers (username, server_host, jid, nick, subscription, ask, askmessage, server, subscribe, type) FROM stdin;\n")
	for i := range accounts {
		fmt.Fprintf(w, "u%d\tlocalhost\tu%d@localhost\tN\tB\tN\t\tN\t\titem\n", i, (i+1)%accounts)
	}
	fmt.Fprint(w, "\\.\nCOPY public.users (username, server_host, password, serverkey, salt, iterationcount, created_at) FROM stdin;\n")
	for i := range accounts {
		text := func(what string, n int) string {
			h := sha256.Sum256(fmt.Append(nil, what, i))
			return base64.StdEncoding.EncodeToString(h[:n])
		}
		fmt.Fprintf(w, "u%d\tlocalhost\t%s\t%s\t%s\t4096\t2026-11-29 11:31:01\n", i, text("stored", 20), text("server", 20), text("salt", 16))
	}
	fmt.Fprint(w, "\\.\n--\n-- PostgreSQL database dump complete\n--\n")
	return w.Flush()
}
