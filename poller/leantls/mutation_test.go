//go:build mutation

package leantls

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutations break one check each. The tests must notice every one of them.
// (That a copy of a State is refused has a test that compiles one; vet is not
// told of mutants.)
var mutations = []struct{ file, old, new string }{
	{"open.go", `p[0] != typeData`, `p[0] == 99`},
	{"open.go", `len(p) > 1 && p[1] != 3 || len(p) > 2 && p[2] != 3`, `len(p) > 1 && p[1] != 3`},
	{"open.go", `len(p) > 1 && p[1] != 3 || len(p) > 2 && p[2] != 3`, `len(p) > 2 && p[2] != 3`},
	{"open.go", `n > maxBody`, `n > maxBody+1`},
	{"open.go", "h.seq++\n\t\tkind, err = h.process(typ, data)", "kind, err = h.process(typ, data)"},
	{"open.go", `len(inner) > maxInner`, `len(inner) > maxInner+1`},
	{"open.go", `return 0, nil, errNoType`, `return typeData, nil, nil`},
	{"open.go", `return 0, nil, errMAC`, `return typeData, body, nil`},
	{"open.go", `h.partial != 0 && typ != typeHandshake`, `h.partial == 9 && typ != typeHandshake`},
	{"open.go", "if len(p) == 0 {\n\t\t\treturn Nothing, h.idle()", "if len(p) == 0 {\n\t\t\treturn Nothing, nil"},
	{"open.go", "h.useless = 0\n", ""},
	{"open.go", `len(p) != 2`, `len(p) < 2`},
	{"open.go", `return Closed, nil`, `return Nothing, nil`},
	{"open.go", "case UserCanceled:\n\t\treturn Nothing, h.idle()", "case UserCanceled:\n\t\treturn Nothing, nil"},
	{"open.go", `return Nothing, PeerError(p[1])`, `return Nothing, h.idle()`},
	{"open.go", `return Nothing, errEmpty`, `return Nothing, nil`},
	{"open.go", `at == 0 && b != msgKeyUpdate`, `at == 9`},
	{"open.go", `case b != keyUpdate[at]:`, `case at == 9:`},
	{"open.go", "if err := h.idle(); err != nil {\n\t\treturn Nothing, err\n\t}\n", ""},
	{"open.go", `if !last {`, `if !last && request == 9 {`},
	{"open.go", `request > 1`, `request > 2`},
	{"open.go", `h.updates > maxUpdates`, `h.updates == 255`},
	{"open.go", `h.updates -= uint8(min(uint64(h.updates), h.seq/perUpdate))`, ``},
	{"open.go", `return UpdateAsked, nil`, `return Nothing, nil`},
	{"open.go", `return Nothing, errInnerType`, `return Nothing, h.idle()`},
	{"open.go", `seq == math.MaxUint64`, `seq == math.MaxUint64-1`},
	{"open.go", `if err != nil || kind == Closed {`, `if kind == Closed {`},
	{"open.go", `if err != nil || kind == Closed {`, `if err != nil {`},
	{"open.go", "if !k.matches(h) {\n\t\tpanic", "if k == nil {\n\t\tpanic"},
	{"state.go", "h.seq = 0\n", ""},
	{"state.go", "h.gen++\n", ""},
	{"state.go", `*h = half{gen: gen}`, `h.suite, h.gen = 0, gen`},
	{"state.go", "h.secret = fresh\n", ""},
	{"state.go", `h.gen == math.MaxUint32`, `h.gen == math.MaxUint32-1`},
	{"state.go", "s.Wipe()\n\treturn dst, nil", "return dst, nil"},
	{"keys.go", `k != nil && k.of == h && k.gen == h.gen`, `k != nil && k.of == h`},
	{"keys.go", `k != nil && k.of == h && k.gen == h.gen`, `k != nil && k.gen == h.gen`},
	{"keys.go", `binary.BigEndian.Uint64(k.iv[4:])^seq`, `binary.BigEndian.Uint64(k.iv[4:])+seq`},
	{"keys.go", `inner[i], outer[i] = 0x36, 0x5c`, `inner[i], outer[i] = 0x36, 0x36`},
	{"seal.go", `h.seq >= maxSealed`, `h.seq > maxSealed`},
	{"seal.go", "h.updates = 0\n", ""},
	{"seal.go", `s.write.updates = 1`, `s.write.updates = 0`},
	{"seal.go", "k.of.seq++\n", ""},
	{"seal.go", "s.write.kill()\n", ""},
	{"seal.go", `n := min(len(p), MaxData)`, `n := min(len(p), MaxData+1)`},
	{"capture.go", `!first && random != s.random`, `first && random == s.random`},
	{"capture.go", `to.n != 0 || n > maxSecret || n == 0`, `n > maxSecret || n == 0`},
	{"capture.go", `return label != labelEarly`, `return true`},
	{"capture.go", `if s.bad {`, `if s.bad && n == 0 {`},
	{"capture.go", `s.got[i].n != n`, `s.got[i].n > n`},
	{"capture.go", `return min(b.left, len(waiting))`, `return len(waiting)`},
	{"capture.go", `own = own.Clone()`, `_ = 0`},
	{"capture.go", "shared := base.Clone()", "shared := &tls.Config{Certificates: base.Certificates, SessionTicketsDisabled: true}"},
	{"start.go", `st.Version != tls.VersionTLS13 ||`, ``},
	{"start.go", `st.Version != tls.VersionTLS13 || !st.HandshakeComplete`, `st.Version != tls.VersionTLS13`},
	{"start.go", "case use == 0:\n\t\treturn RefusedSuite\n", ""},
	{"start.go", "case !secrets.complete(use.secretLen()):\n\t\treturn RefusedSecrets\n", ""},
	{"start.go", "defer secrets.Wipe()\n", ""},
	{"start.go", `s.write.start(use, secrets.of(serverTraffic), sent)`, `s.write.start(use, secrets.of(serverTraffic), 0*sent)`},
	{"start.go", `err != nil || typ != typeHandshake`, `err != nil || typ == 99`},
	{"start.go", `h.seq > 0 || finished || record[0]`, `record[0]`},
	{"start.go", `finished && msgs.left == 0 && msgs.head == 0`, `finished`},
	{"start.go", `finished && msgs.left == 0 && msgs.head == 0`, `true`},
	{"start.go", `if after && m.typ != msgTicket {`, `if m.typ == 99 {`},
	{"start.go", "if len(written) < HeaderLen {\n\t\t\treturn 0, false", "if len(written) < HeaderLen {\n\t\t\treturn h.seq, true"},
	{"../tlslean.go", "if t.st.PeerClosed() {\n\t\treturn nil // RFC", "if t.in == nil && len(p) == 0 {\n\t\treturn nil // RFC"},
	{"../tlslean.go", "if !t.c.paused {\n\t\tt.c.begun()\n\t}\n", ""},
	{"../tlslean.go", "t.in = nil\n\tt.c.stall = 0\n\terr = t.one", "t.in = nil\n\terr = t.one"},
	{"../tlslean.go", `t.end(wrong.Alert)`, `_ = wrong.Alert`},
	{"../tlslean.go", "t.st.Wipe()\n", ""},
	{"../tlslean.go", "if t.st.PeerClosed() {\n\t\treturn nil\n\t}\n\treturn ErrTruncated", "return nil"},
	{"../tlslean.go", "if t.st.PeerClosed() {\n\t\treturn nil\n\t}\n\treturn ErrTruncated", "return ErrTruncated"},
	{"../tlslean.go", "t.st.AnswerUpdate()\n", ""},
	{"../tlsswitch.go", "case t.written == nil:\n\t\treturn leantls.RefusedWrites\n", ""},
	{"../tlsswitch.go", "len(s.written.B)+len(p) > maxWritten", "len(s.written.B)+len(p) > 9*maxWritten"},
	{"../tlsswitch.go", "case t.secrets == nil:\n\t\treturn leantls.RefusedSecrets\n", ""},
	{"../tlsswitch.go", "case t.c.loop.p.lean.failed:\n\t\treturn leantls.RefusedSelfTest\n", ""},
	{"../tlsswitch.go", "p.cfg.StdTLS || !t.server", "!t.server"},
	{"../tlskeys.go", "len(c.all) < maxAwake", "len(c.all) < 2*maxAwake"},
	{"../tlskeys.go", "t.awake.Store(nil)\n", ""},
	{"../tlskeys.go", "len(l.all) >= maxConfigs", "len(l.all) < 0"},
	{"../tlssocket.go", "return 0, ErrFull", "_ = ErrFull"},
	{"../tlsstd.go", "return errEarly", "_, err := t.conn.Write(p)\n\treturn err"},
	{"../tlssocket.go", `p[:min(n, len(p))]`, `p`},
	{"../tlsstd.go", "t.choked = true\n\t\t\tt.c.Pause()", "return ErrHandshake"},
	{"../tlsstd.go", "t.choked = true\n\treturn errNotYet", "return ErrHandshake"},
	{"../tlsstd.go", "t.midRecord()\n", ""},
	{"start.go", `case fips140.Enabled():`, `case fips140.Enabled() && use == 99:`},
	{"start.go", `n > len(written) || n > MaxRecord`, `n > len(written)`},
	{"start.go", "if m.finished && !after {\n\t\t\treturn false\n\t\t}\n", ""},
	{"start.go", `record[0] != typeHandshake && record[0] != typeChange`, `false`},
	{"start.go", "h.start(use, secrets.of(serverTraffic), 0)\n\t\t\tk = h.keys()", ""},
	{"state.go", `seq: seq, gen: h.gen}`, `seq: seq}`},
	{"state.go", `p[maxSecret+8] > uint8(len(keyUpdate))`, `p[maxSecret+8] == 99`},
	{"state.go", `len(p) != handOverLen || !suite(p[0]).known() ||`, `len(p) != handOverLen ||`},
	{"state.go", `len(p) != handOverLen || !suite(p[0]).known() ||`, `!suite(p[0]).known() ||`},
	{"state.go", ` || s.read.suite != 0 || s.write.suite != 0 {`, ` {`},
	{"state.go", "gen := h.gen + 1\n", "gen := h.gen\n"},
	{"seal.go", "\t\tlevel = warning\n", "\t\tlevel = fatal\n"},
	{"seal.go", "level := byte(fatal)", "level := byte(warning)"},
	{"seal.go", "k = h.keys()\n", ""},
	{"capture.go", "shared.KeyLogWriter = nil\n", ""},
	{"capture.go", "if own, err = base.GetConfigForClient(hello); err != nil {\n\t\t\t\treturn nil, err\n\t\t\t}", "own, err = base.GetConfigForClient(hello)\n_ = err"},
	{"capture.go", "if !slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {\n\t\t\treturn own, nil\n\t\t}\n", ""},
	{"capture.go", `if len(waiting) < HeaderLen {`, `if len(waiting) == 0 {`},
	{"../tlslean.go", `n < len(p) && !t.c.paused && !t.c.closed()`, `n < len(p) && !t.c.closed()`},
	{"../tlslean.go", "t.off += uint32(n)\n", "t.off = uint32(n)\n"},
	{"../tlslean.go", "t.in, t.off = in, 0\n\t\tt.c.begun()\n", "t.in, t.off = in, 0\n"},
	{"../tlslean.go", "t.in, t.off = in, 0\n", "t.in, t.off = in, t.off\n"},
	{"../tlslean.go", "if len(p) == 0 {\n\t\treturn nil\n\t}\n\tk := t.keys()", "k := t.keys()"},
	{"../tlslean.go", "func (t *leanTLS) closeWrite() { t.end(leantls.CloseNotify) }", "func (t *leanTLS) closeWrite() {}"},
	{"../tlslean.go", "func (t *leanTLS) free() error {\n\tt.wipe()", "func (t *leanTLS) free() error {"},
	{"../tlslean.go", "t.awake.Store(nil)\n}", "}"},
	{"../tlslean.go", "if !k.used.Load() {\n\t\tk.used.Store(true)\n\t}\n", ""},
	{"../tlskeys.go", "c.all[c.hand].awake.Store(nil)\n", ""},
	{"../tlskeys.go", `cfg.StdTLS || l.failed`, `l.failed`},
	{"../tlsswitch.go", "case st.Version != tls.VersionTLS13:\n\t\treturn leantls.RefusedVersion\n", ""},
	{"../tlsswitch.go", "case !t.boundary.Whole():\n\t\treturn leantls.RefusedReads\n", ""},
	{"../tlsswitch.go", "t.phase = tlsSwitched\n", ""},
	{"../tlsswitch.go", "p.stats.leanRefused[why].Add(1)\n", "_ = why\n"},
	{"../tlsswitch.go", "s.secrets.Wipe()\n", ""},
	{"../tlsstd.go", "\t_, err := t.conn.Write(p)\n", "\tt.c.mu.Unlock()\n\t_, err := t.conn.Write(p)\n\tt.c.mu.Lock()\n"},
	{"../tlsstd.go", "\t\tt.phase = tlsFailed\n\t\tt.mu.Unlock()\n", "\t\tt.mu.Unlock()\n"},
	{"../tlsstd.go", "\t\tc.loop.post(c, func(int) { c.destroy(ErrFull) })\n", ""},
	{"../tlssocket.go", "if s.ended {", "if s.ended && s.c == nil {"},
	{"../tlssocket.go", "(*stdTLS)(s).unchoke()\n", ""},
	{"../tlssocket.go", "s.c.stall = 0\n", ""},
	{"../tlsstd.go", "t.choked = true\n\t\t\tt.c.Pause()", "t.choked = true"},
	{"../tlsstd.go", "t.c.paused = false // Secured may pause, for a reason of its own\n", "t.c.Resume()\n"},
	{"../tlsstd.go", "t.c.paused = true\n\t\tt.c.resume()\n", ""},
	{"../tlsstd.go", "lean.stash(t.in.Bytes())\n", ""},
	{"../tlsstd.go", "t.deadline.Stop()\n\t\tdefer", "defer"},
	{"../tlsstd.go", "t.deadline.Stop()\n\tt.mu.Lock()\n\tt.ended = true", "t.mu.Lock()\n\tt.ended = true"},
	{"../tlsqueue.go", "if h.free == 0 {\n\t\th.waiting = append(h.waiting, t)\n\t\treturn\n\t}\n", ""},
	{"../tlsstd.go", "case t.phase == tlsOpen:\n\t\treturn ErrTruncated\n", ""},
	{"../tlsstd.go", "case t.notified:\n\t\treturn nil\n", ""},
	{"../tlsstd.go", "case t.phase == tlsHello:\n\t\treturn ErrHandshake\n", ""},
	{"../tlsstd.go", "case errors.Is(err, errNoData):\n\t\t\tt.c.Flush()\n", "case errors.Is(err, errNoData):\n"},
	{"../tlsstd.go", "\t\t_ = t.conn.CloseWrite()\n", ""},
	{"../tlshello.go", "if n > len(b) {\n\t\t\treturn false, nil\n\t\t}\n", ""},
	{"../tlshello.go", `have >= header+size`, `have >= header`},
	{"../tlsstd.go", "case c.closing(): // nobody", "case c.closed(): // nobody"},
	{"../tlsstd.go", "if !ok {\n\t\treturn\n\t}\n\tt.mu.Lock()\n\tdone := t.phase == tlsOpen", "if !ok {\n\t\tc.shut(ErrHandshake)\n\t\treturn\n\t}\n\tt.mu.Lock()\n\tdone := t.phase == tlsOpen"},
	{"../tlsstd.go", "done := t.phase == tlsOpen", "done := t.phase == tlsSwitched"},
	{"../tlshello.go", `size > maxFragment-header`, `size > 4*maxFragment`},
	{"../tlshello.go", `n == 0 || n > maxFragment`, `n > maxFragment`},
	{"../tlshello.go", `n == 0 || n > maxFragment`, `n == 0`},
	{"../tlshello.go", `have == 0 && here[0] != msgClientHello`, `have == 9`},
	{"../tlshello.go", `range maxHelloRecords`, `range 999 * maxHelloRecords`},
	{"../conn.go", "if c.layer != layer {", "if false {"},
	{"../conn.go", "if c.loop.unread[c] != nil {\n\t\treturn ErrPipelined\n\t}\n", ""},
	{"../listen.go", "\tc.state = stateClosed\n", ""},
	{"../listen.go", "\t_ = c.layer.free()\n", ""},
	{"../listen.go", "c.loop.p.addrs.release(c.peer)\n", ""},
	{"../listen.go", "\t_ = unix.Close(int(fd))\n\tc.loop", "\t_ = fd\n\tc.loop"},
	{"../deadline.go", `c.stall != 0 && now > c.stall && !c.paused`, `c.stall != 0 && now > c.stall`},
	{"../deadline.go", `c.stall != 0 && now > c.stall && !c.paused`, `c.stall == 99`},
	{"../deadline.go", "if c.stall == 0 {\n\t\tc.stall", "{\n\t\tc.stall"},
	{"../deadline.go", "c.destroy(c.endOfInput())", "c.destroy(errNotYet)"},
	{"../ending.go", "(was < stateClosing || was == stateHalfClosed)", "was < stateClosing"},
	{"../watch.go", "c.stall = 0 // the time", "// the time"},
}

// slow are the tests of package poller that a mutation is tried on.
const slow = "^Test(Lean(Go|Exp|Ref|FIPS|Ran|Ver|After|Ends|Key|Con)|KeyCache|Std|Stall|Early|TLS|Hello|Nothing|Parked|RefusedAt|PausedWhen|Start|CutIn|Late|Part|Large|Queued|ClosedIn|EndIn|Trunc|HalfClosed)"

// TestMutations tries them all, each on the tests of this package and then on
// those of package poller, without touching the sources.
func TestMutations(t *testing.T) {
	for _, args := range [][]string{{"."}, {"-run", slow, ".."}} {
		if out, err := exec.Command("go", append([]string{"test", "-count=1"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("without a mutation: %v\n%s", err, out)
		}
	}
	for _, m := range mutations {
		name := filepath.Base(m.file) + ": " + strings.Join(strings.Fields(m.old), " ") + " -> " + strings.Join(strings.Fields(m.new), " ")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(src), m.old); n == 0 {
				t.Fatalf("%s has no such text: bring the list up to date", m.file)
			}
			path, err := filepath.Abs(m.file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			mutant := filepath.Join(dir, "mutant.go")
			if err := os.WriteFile(mutant, []byte(strings.Replace(string(src), m.old, m.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			list, _ := json.Marshal(map[string]map[string]string{"Replace": {path: mutant}})
			overlay := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(overlay, list, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"."}, {"-run", slow, ".."}} {
				cmd := exec.Command("go", append([]string{"test", "-vet=off", "-failfast", "-timeout", "60s", "-overlay", overlay}, args...)...)
				out, err := cmd.CombinedOutput()
				if strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]") {
					t.Fatalf("it does not compile:\n%s", out)
				}
				if err != nil {
					return // noticed
				}
			}
			t.Error("no test notices")
		})
	}
}
