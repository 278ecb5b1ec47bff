package blocks

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"roost/store"
	"roost/store/memstore"
)

// file writes a file.
func file(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "blocks")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// withFiles returns a list with the blocks of files.
func withFiles(t testing.TB, texts ...string) *List {
	t.Helper()
	var names []string
	for _, text := range texts {
		names = append(names, file(t, text))
	}
	f, err := ReadFiles(names)
	if err != nil {
		t.Fatal(err)
	}
	l := new(List)
	l.current.Store(newIndex(nil))
	if !l.SetFiles(f) {
		t.Error("the files are not new")
	}
	return l
}

// TestFiles: the lines of files, in all their forms, and what they block.
func TestFiles(t *testing.T) {
	l := withFiles(t, `# Networks
192.0.2.0/24
192.0.3.0/25   ; adjacent
	198.51.100.7 # one address
198.51.100.9/30
::ffff:203.0.113.1

2001:db8::/32;SBL1
2001:db9::1
2001:dba::/64
2001:dbb::/127
Romeo@Example.org # an account
`, "; Spamhaus DROP List 2026/11/29 - (c) 2026 The Spamhaus Project SLU\r\n; Last-Modified: Sun, 29 Nov 2026 06:03:53 GMT\r\n1.10.16.0/20 ; SBL256894\r\n1.19.0.0/16 ; SBL434604\r\n",
		`{"cidr":"5.34.242.0/23","sblid":"SBL194796","rir":"ripencc"}
{"type":"metadata","timestamp":1764000000,"size":97241,"records":1,"copyright":"(c) 2026 The Spamhaus Project SLU"}`)
	network := func(want bool, addrs ...string) {
		t.Helper()
		for _, a := range addrs {
			if _, found := l.Network(netip.MustParseAddr(a)); found != want {
				t.Errorf("%s: %v", a, found)
			}
		}
	}
	network(true, "192.0.2.0", "192.0.2.255", "192.0.3.0", "192.0.3.127", "::ffff:192.0.2.7", "198.51.100.7", "198.51.100.8", "198.51.100.11", "203.0.113.1",
		"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::1", "2001:dba::", "2001:dba::ffff:ffff:ffff:ffff", "2001:dbb::1", "2001:db9::1%eth0",
		"1.10.16.0", "1.10.31.255", "1.19.1.1", "5.34.243.255")
	network(false, "192.0.1.255", "192.0.3.128", "198.51.100.6", "198.51.100.12", "203.0.113.0", "0.0.0.0", "255.255.255.255", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
		"2001:db9::", "2001:db9::2", "2001:dba:0:1::", "2001:dbb::2", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1.10.15.255", "1.10.32.0", "5.34.244.0")
	if _, found := l.Network(netip.Addr{}); found {
		t.Error("no address is blocked")
	}
	for bare, want := range map[string]bool{"romeo@example.org": true, "juliet@example.org": false, "192.0.2.0/24": false} {
		if _, found := l.Account(bare); found != want {
			t.Errorf("%s: %v", bare, found)
		}
	}
	f := l.files.Load()
	if f.Networks() != 12 || f.Accounts() != 1 || len(f.v4) != 6 {
		t.Errorf("%d networks, %d accounts, %d ranges", f.Networks(), f.Accounts(), len(f.v4))
	}
	if n := testing.AllocsPerRun(100, func() { l.Network(netip.AddrFrom4([4]byte{192, 0, 2, 1})) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if l.SetFiles(f) {
		t.Error("the same files are new")
	}
	if len(l.All()) != 0 {
		t.Error("blocks of files are listed")
	}
}

// TestFileNames: the name of an account may have characters that begin a comment elsewhere. Bug: they
// did so there, too, and the server did not start.
func TestFileNames(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		if got := withoutComment(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	f("", "")
	f("a#b;c@example.org", "a#b;c@example.org")
	f("a#b@example.org#c@d ; e", "a#b@example.org")
	f("a#b@example.org;c", "a#b@example.org")
	f("a;b@example.org # c", "a;b@example.org")
	f("#a@example.org", "")
	f(";a@example.org", "")
	f("# a@example.org", "")
	f("a # b@example.org", "a")
	f("a\t;b@example.org", "a")
	f("192.0.2.0/24;b@example.org", "192.0.2.0/24")
	f("192.0.2.1#b@example.org", "192.0.2.1")
	f("2001:db8::/32 ; SBL1 a@example.org", "2001:db8::/32")
	f("192.0.2.0/24;SBL1", "192.0.2.0/24")
	l := withFiles(t, "A#b@example.org # a comment\n192.0.2.1;mail a@example.org\n")
	_, account := l.Account("a#b@example.org")
	_, network := l.Network(netip.MustParseAddr("192.0.2.1"))
	if !account || !network || l.files.Load().Accounts() != 1 {
		t.Errorf("blocked: %v, %v", account, network)
	}
}

// TestFileMistakes: each mistake is told with its file and line, and nothing is read then.
func TestFileMistakes(t *testing.T) {
	good := file(t, "192.0.2.0/24\n")
	f := func(text, want string) {
		t.Helper()
		name := file(t, text)
		files, err := ReadFiles([]string{good, name})
		if files != nil || err == nil || err.Error() != name+want {
			t.Errorf("%.40q: %v\nwant %s", text, err, name+want)
		}
	}
	const hint = " is not a network, an address or an account: write 192.0.2.0/24, 2001:db8::/32, 192.0.2.1 or romeo@example.org"
	f("# a\n\nromeo\n", `:3: "romeo"`+hint)
	f("192.0.2.0/33", `:1: "192.0.2.0/33"`+hint)
	f("192.0.2.0/24 192.0.3.0/24", `:1: "192.0.2.0/24 192.0.3.0/24"`+hint)
	f("192.0.2.1\n::ffff:192.0.2.0/120\n", `:2: "::ffff:192.0.2.0/120"`+hint)
	f("fe80::1%eth0", `:1: "fe80::1%eth0"`+hint)
	f("0.0.0.0/0", ":1: the network 0.0.0.0/0 is too large: the prefix must have at least 8 bits")
	f("2000::/15", ":1: the network 2000::/15 is too large: the prefix must have at least 16 bits")
	f("romeo@example.org/phone", `:1: "romeo@example.org/phone" is not the address of an account, such as romeo@example.org`)
	f("{\"cidr\": 1}", ":1: it is not JSON: json: cannot unmarshal number into Go struct field .CIDR of type string")
	f("192.0.2.1\n#"+strings.Repeat("x", 5000), ":2: the line is longer than 4096 bytes")
	if _, err := ReadFiles([]string{filepath.Join(t.TempDir(), "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if files, err := ReadFiles(nil); err != nil || files.Networks() != 0 {
		t.Error(err)
	}
}

// TestFilesLikeNetworks: random networks, many of which overlap, block the addresses that are
// in one of them.
func TestFilesLikeNetworks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func() netip.Addr {
		if rnd.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, byte(rnd.IntN(3)), byte(rnd.IntN(256)), byte(rnd.IntN(256))})
		}
		return netip.AddrFrom16([16]byte{0x20, 1, byte(rnd.IntN(3)), 7: byte(rnd.IntN(256)), 8: byte(rnd.IntN(3)), 15: byte(rnd.IntN(256))})
	}
	var all []netip.Prefix
	var text strings.Builder
	for range 300 {
		a := random()
		p := netip.PrefixFrom(a, a.BitLen()-rnd.IntN(10)-rnd.IntN(2)*rnd.IntN(a.BitLen()/2)).Masked()
		all = append(all, p)
		fmt.Fprintln(&text, p)
	}
	l := withFiles(t, text.String())
	blocked := 0
	for range 20000 {
		a := random()
		want := false
		for _, p := range all {
			want = want || p.Contains(a)
		}
		if _, found := l.Network(a); found != want {
			t.Fatalf("%v: %v", a, found)
		}
		if want {
			blocked++
		}
	}
	if blocked < 2000 || blocked > 18000 {
		t.Errorf("%d of 20000 addresses were blocked", blocked)
	}
}

// TestRefresh: blocks that another node has made or removed are in force after a refresh, which
// tells whether there are new ones.
func TestRefresh(t *testing.T) {
	now := time.Now()
	location := memstore.New()
	mine, theirs := open(t, location, nil, &now), open(t, location, nil, &now)
	refresh := func(want bool) {
		t.Helper()
		if added, err := mine.Refresh(t.Context()); err != nil || added != want {
			t.Errorf("%v %v, want %v", added, err, want)
		}
	}
	blocked := func(want bool) {
		t.Helper()
		if _, found := mine.Network(netip.MustParseAddr("192.0.2.1")); found != want {
			t.Errorf("blocked: %v", found)
		}
	}
	refresh(false)
	if err := theirs.Add(t.Context(), store.Block{Target: "192.0.2.0/24"}); err != nil {
		t.Fatal(err)
	}
	blocked(false)
	refresh(true)
	blocked(true)
	refresh(false)
	if err := theirs.Remove(t.Context(), "192.0.2.0/24"); err != nil {
		t.Fatal(err)
	}
	refresh(false)
	blocked(false)
}

func BenchmarkFiles(b *testing.B) {
	const networks = 1 << 20
	var text strings.Builder
	rnd := rand.New(rand.NewPCG(1, 2))
	for range networks {
		fmt.Fprintf(&text, "%d.%d.%d.0/24\n", 1+rnd.IntN(223), rnd.IntN(256), rnd.IntN(256))
	}
	name := file(b, text.String())
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ReadFiles([]string{name}); err != nil {
				b.Fatal(err)
			}
		}
	})
	l := withFiles(b, text.String())
	b.Run("lookup", func(b *testing.B) {
		n := uint32(0)
		for b.Loop() {
			n += 2654435761
			l.Network(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}))
		}
	})
}
