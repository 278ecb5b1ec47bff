package blocks

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"roost/jid"
)

// Files is what files of the operator block: networks and accounts. It never changes. Its
// lookups take a binary search, and a network takes 8 bytes, or 32 of IPv6.
type Files struct {
	v4       []span[uint32] // sorted, and not adjacent
	v6       []span[key6]
	accounts map[string]struct{} // by bare JID
	sum      [sha256.Size]byte   // of the contents
	networks int
}

// span is a range of addresses, both ends included.
type span[T any] struct{ from, to T }

// key6 is an IPv6 address.
type key6 struct{ hi, lo uint64 }

// Limits of files. Larger networks are a mistake in writing: to refuse everybody, drain the
// server.
const (
	MinBits4 = 8
	MinBits6 = 16

	MaxEntries = 8 << 20 // of all files
	maxLine    = 4 << 10 // bytes
)

// ReadFiles reads files with one network, address or account on a line. What follows # or ;
// is a comment, unless it is in the name of an account, and empty lines are skipped. A line may
// also be a JSON object with the network in "cidr", or without it, as in the lists of Spamhaus
// (DROP). An error names the file, and the line if there is one.
func ReadFiles(names []string) (*Files, error) {
	f := &Files{accounts: make(map[string]struct{})}
	sum := sha256.New()
	for _, name := range names {
		if err := f.readFile(name, sum); err != nil {
			return nil, err
		}
	}
	sum.Sum(f.sum[:0])
	f.v4 = merge(f.v4, cmp.Compare[uint32], func(a uint32) uint32 { return a + 1 })
	f.v6 = merge(f.v6, key6.compare, key6.next)
	return f, nil
}

func (f *Files) readFile(name string, sum io.Writer) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(io.TeeReader(file, sum))
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if err := f.add(lines.Bytes()); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err == bufio.ErrTooLong {
		return fmt.Errorf("%s:%d: the line is longer than %d bytes", name, n+1, maxLine)
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// add adds what a line blocks.
func (f *Files) add(line []byte) error {
	line = bytes.TrimSpace(line)
	var text string
	if len(line) > 0 && line[0] == '{' {
		var object struct{ CIDR string }
		if err := json.Unmarshal(line, &object); err != nil {
			return fmt.Errorf("it is not JSON: %w", err)
		}
		text = object.CIDR // "" for an object about the list itself
	} else {
		text = withoutComment(string(line))
	}
	switch {
	case text == "":
		return nil
	case f.networks+len(f.accounts) >= MaxEntries:
		return fmt.Errorf("there are more than %d entries: block larger networks", MaxEntries)
	case strings.Contains(text, "@"):
		return f.addAccount(text)
	}
	return f.addNetwork(text)
}

// withoutComment returns a line without its comment. The name of an account may contain # and ;
// but not begin with them: at the beginning, and after the @, they begin a comment. They also do
// so after a network or an address, which is not the beginning of a name.
func withoutComment(line string) string {
	before := func(text string) string {
		if i := strings.IndexAny(text, "#;"); i >= 0 {
			text = text[:i]
		}
		return strings.TrimSpace(text)
	}
	text := before(line)
	name, rest, ok := strings.Cut(line, "@")
	if !ok || text == "" || strings.ContainsAny(name, " \t") {
		return text
	}
	if _, err := parseNetwork(text); err == nil {
		return text
	}
	return name + "@" + before(rest)
}

func (f *Files) addAccount(text string) error {
	j, err := jid.Parse(text)
	if err != nil || !j.IsAccount() {
		return fmt.Errorf("%q is not the address of an account, such as romeo@example.org", text)
	}
	f.accounts[j.String()] = struct{}{}
	return nil
}

// parseNetwork returns a network, or that of one address.
func parseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		var a netip.Addr
		if a, err = netip.ParseAddr(text); err == nil && a.Zone() == "" {
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
	}
	if !p.IsValid() || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is not a network, an address or an account: write 192.0.2.0/24, 2001:db8::/32, 192.0.2.1 or romeo@example.org", text)
	}
	return p, nil
}

func (f *Files) addNetwork(text string) error {
	p, err := parseNetwork(text)
	if err != nil {
		return err
	}
	if least := map[bool]int{true: MinBits4, false: MinBits6}[p.Addr().Is4()]; p.Bits() < least {
		return fmt.Errorf("the network %s is too large: the prefix must have at least %d bits", text, least)
	}
	f.networks++
	first := p.Masked().Addr()
	if first.Is4() {
		from := key4Of(first)
		f.v4 = append(f.v4, span[uint32]{from, from | uint32(uint64(1)<<(32-p.Bits())-1)})
		return nil
	}
	from := key6Of(first)
	to := from
	if hostBits := 128 - p.Bits(); hostBits >= 64 {
		to.lo = ^uint64(0)
		to.hi |= uint64(1)<<(hostBits-64) - 1
	} else {
		to.lo |= uint64(1)<<hostBits - 1
	}
	f.v6 = append(f.v6, span[key6]{from, to})
	return nil
}

func key4Of(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func key6Of(a netip.Addr) key6 {
	b := a.As16()
	return key6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key6) compare(other key6) int {
	return cmp.Or(cmp.Compare(k.hi, other.hi), cmp.Compare(k.lo, other.lo))
}

// next returns the address after k, 0 after the last one.
func (k key6) next() key6 {
	k.lo++
	if k.lo == 0 {
		k.hi++
	}
	return k
}

// merge sorts ranges, and makes one of those that overlap or are adjacent.
func merge[T comparable](all []span[T], compare func(a, b T) int, next func(T) T) []span[T] {
	var zero T
	slices.SortFunc(all, func(a, b span[T]) int { return compare(a.from, b.from) })
	kept := all[:0]
	for _, s := range all {
		if n := len(kept); n > 0 {
			last := &kept[n-1]
			if after := next(last.to); after == zero || compare(s.from, after) <= 0 {
				if compare(s.to, last.to) > 0 {
					last.to = s.to
				}
				continue
			}
		}
		kept = append(kept, s)
	}
	return slices.Clip(slices.Clone(kept))
}

// find reports whether an address is in one of the ranges.
func find[T any](all []span[T], a T, compare func(a, b T) int) bool {
	i, found := slices.BinarySearchFunc(all, a, func(s span[T], a T) int { return compare(s.from, a) })
	return found || i > 0 && compare(a, all[i-1].to) <= 0
}

// hasNetwork reports whether an address, which is neither mapped nor has a zone, is in a
// network that a file blocks.
func (f *Files) hasNetwork(a netip.Addr) bool {
	if f == nil {
		return false
	}
	if a.Is4() {
		return find(f.v4, key4Of(a), cmp.Compare[uint32])
	}
	return find(f.v6, key6Of(a), key6.compare)
}

// hasAccount reports whether a file blocks an account.
func (f *Files) hasAccount(bare string) bool {
	if f == nil {
		return false
	}
	_, found := f.accounts[bare]
	return found
}

// Networks returns the number of lines with networks.
func (f *Files) Networks() int { return f.networks }

// Accounts returns the number of accounts.
func (f *Files) Accounts() int { return len(f.accounts) }
