package parser

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// TestSizes limits the memory per stream and per token.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(Parser{}); n > 24 {
		t.Errorf("a Parser takes %d bytes, the budget is 24", n)
	}
	if n := unsafe.Sizeof(Token{}); n > 24 {
		t.Errorf("a Token takes %d bytes, the budget is 24", n)
	}
	if n := unsafe.Sizeof(Element{}); n > 16 {
		t.Errorf("an Element takes %d bytes, the budget is 16", n)
	}
	if n := unsafe.Sizeof(Scratch{}); n > 2<<10 {
		t.Errorf("a Scratch takes %d bytes, the budget is 2 KiB", n)
	}
}

// TestIdle: between two elements a stream has no buffer, with white space or without;
// within an element it has one.
func TestIdle(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	defer p.Free(s)
	for _, step := range []struct {
		piece string
		idle  bool
	}{
		{"<?xml version='1.0'?>", true}, {"\n", true}, {"<stream", false}, {":stream xmlns:stream='urn:s'", false}, {">", true}, {" ", true},
		{"<", false}, {"m>x", false}, {"</m>", true}, {"\n \n", true}, {"<a/><b/>", true}, {"<c/><d", false}, {"/> ", true}, {"</stream:stream", false}, {">", true},
	} {
		for data := []byte(step.piece); len(data) > 0; {
			_, n, err := p.Next(s, data)
			if err != nil {
				t.Fatal(err)
			}
			data = data[n:]
		}
		if p.Idle() != step.idle {
			t.Errorf("after %q: Idle is %v", step.piece, p.Idle())
		}
	}
}

// TestSticky: after an error nothing more is processed.
func TestSticky(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	p.Next(s, []byte("<s>"))
	p.Next(s, []byte("<m>"))
	for range 3 {
		if ev, _, err := p.Next(s, []byte("</n><a/>")); ev != None || err != ErrMismatch {
			t.Errorf("event %d, %v; want %v", ev, err, ErrMismatch)
		}
	}
	if ev, n, err := p.Next(s, []byte("<a/>")); ev != None || n != 0 || err != ErrMismatch {
		t.Errorf("event %d, %d bytes, %v; want the same error again", ev, n, err)
	}
	if !p.Idle() {
		t.Error("a buffer is kept after an error")
	}
	p.Reset()
	if ev, _, err := p.Next(s, []byte("<s>")); ev != StreamOpen || err != nil {
		t.Errorf("after Reset: event %d, %v", ev, err)
	}
}

// TestRefuseSpace: RFC 6120 section 5.3.3
// (https://www.rfc-editor.org/rfc/rfc6120#section-5.3.3): the entities "MUST NOT send any
// white space as separators between XML elements" while TLS is negotiated. One line feed after
// each element is accepted all the same.
func TestRefuseSpace(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	feed := func(b string) (err error) {
		for data := []byte(b); len(data) > 0 && err == nil; {
			var n int
			_, n, err = p.Next(s, data)
			data = data[n:]
		}
		return err
	}
	if err := feed(testHeader + " <m/> "); err != nil {
		t.Fatal(err)
	}
	p.RefuseSpace(true)
	if err := feed("<m> </m><m/>"); err != nil {
		t.Errorf("without white space between elements: %v", err)
	}
	p.RefuseSpace(false)
	if err := feed("\n \n"); err != nil {
		t.Errorf("white space allowed again: %v", err)
	}
	for space, want := range map[string]error{"\n": nil, "\n<m/>\n<m/>\n": nil, " ": ErrSpace, "\r\n": ErrSpace, "\n\n": ErrSpace, "\n ": ErrSpace, "<m/>\n\n": ErrSpace} {
		p.Reset()
		if err := feed(testHeader + "<m/>"); err != nil {
			t.Fatal(err)
		}
		p.RefuseSpace(true)
		if err := feed(space); err != want {
			t.Errorf("%q after an element: %v, want %v", space, err, want)
		}
	}
}

// TestRestart: namespaces end with their stream (RFC 6120 section 6.3.2,
// https://www.rfc-editor.org/rfc/rfc6120#section-6.3.2), and a restarted stream may have
// a declaration again, even after a line feed.
func TestRestart(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	next := func(b string, want error) {
		t.Helper()
		for data := []byte(b); len(data) > 0; {
			_, n, err := p.Next(s, data)
			if err != nil {
				if err != want {
					t.Errorf("%q: %v, want %v", b, err, want)
				}
				return
			}
			data = data[n:]
		}
		if want != nil {
			t.Errorf("%q: no error, want %v", b, want)
		}
	}
	next(testHeader+"<x:m/><m", nil)
	p.Extra.Store(7)
	p.Reset()
	if n := p.Extra.Load(); n != 7 {
		t.Errorf("Reset changes what belongs to the owner of the stream to %d", n)
	}
	next("\n<?xml version='1.0'?><s xmlns='jabber:client'><m/>", nil)
	next("<x:m/>", ErrUnbound)
}

// TestTake: a taken document has its own bytes, and stays valid when others follow.
func TestTake(t *testing.T) {
	s := NewScratch(Limits{})
	var p Parser
	data := []byte("<s xmlns='jabber:client'><m id='1'><b>one</b></m><m id='2'/>")
	var taken []*Tape
	for rest := data; len(rest) > 0; {
		ev, n, err := p.Next(s, rest)
		if err != nil {
			t.Fatal(err)
		}
		if rest = rest[n:]; ev == Stanza {
			taken = append(taken, s.Take())
		}
	}
	for _, piece := range []string{"<m id=", "'3'>three", "</m>"} {
		if ev, _, _ := p.Next(s, []byte(piece)); ev == Stanza {
			taken = append(taken, s.Take())
		}
	}
	clear(data)
	for i, want := range []string{"<m id='1'><b>one</b></m>", "<m id='2'/>", "<m id='3'>three</m>"} {
		d := taken[i]
		if got := string(d.Raw()); got != want {
			t.Errorf("document %d is %q, want %q", i, got, want)
		}
		if !d.Root().Is("jabber:client", "m") {
			t.Errorf("document %d has lost its namespace", i)
		}
		d.Release()
	}
}

// TestContextShared: streams with the same header share its context.
func TestContextShared(t *testing.T) {
	s := NewScratch(Limits{})
	var a, b, c Parser
	for _, p := range []*Parser{&a, &b} {
		p.Next(s, []byte(strings.Replace(testHeader, "localhost", "a"+string(rune('0'+uintptr(unsafe.Pointer(p))%8)), 1)))
	}
	c.Next(s, []byte("<s xmlns='jabber:client'>"))
	if a.ctx == nil || a.ctx != b.ctx {
		t.Error("two equal headers do not share their context")
	}
	if c.ctx == a.ctx {
		t.Error("two different headers share a context")
	}
	var langs [4]*context
	for i, lang := range []string{"", " xml:lang='d'", " xml:lang='e'", " xml:lang='" + strings.Repeat("e", maxLang+1) + "'"} {
		var p Parser
		p.Next(s, []byte("<s xmlns='jabber:client' a='&amp;'"+lang+">"))
		langs[i] = p.ctx
	}
	if langs[0] != c.ctx || langs[1] == c.ctx || langs[2] == c.ctx || langs[1] == langs[2] || langs[3] != c.ctx {
		t.Error("headers that differ in more than the language share contexts, or equal ones do not")
	}
	for i := range 3 * maxInterned {
		var p Parser
		p.Next(s, []byte("<s xmlns:p='"+strings.Repeat("u", i%300+1)+string(rune('a'+i%20))+"'>"))
	}
	if n := len(contexts.m); n > maxInterned {
		t.Errorf("%d contexts are kept, want at most %d", n, maxInterned)
	}
}

// TestStaleWindow: bytes that the parser has looked ahead at are checked again if the
// next input differs from them.
func TestStaleWindow(t *testing.T) {
	s := NewScratch(Limits{})
	var p, q Parser
	p.Next(s, []byte("<s>"))
	q.Next(s, []byte("<s>"))
	buf := []byte("<m/><aaa>bbbb</aaa>")
	if _, n, _ := p.Next(s, buf); n != 4 {
		t.Fatalf("%d bytes consumed, want 4", n)
	}
	// Another stream's data at the same address.
	copy(buf[4:], "<b></b><c>\xff</c>")
	if ev, _, err := q.Next(s, buf[4:]); ev != Stanza || err != nil {
		t.Errorf("event %d, %v", ev, err)
	}
	if got := string(s.Tape().Raw()); got != "<b></b>" {
		t.Errorf("the document is %q", got)
	}
}

// TestAllocs: nothing is allocated in the steady state, whether input is split or not.
func TestAllocs(t *testing.T) {
	s := NewScratch(Limits{})
	stanzas := []byte("<m>" + strings.Repeat("long ", 2000) + "</m>")
	for _, sample := range samples[:11] {
		stanzas = append(stanzas, strings.TrimSuffix(sample, "</stream:stream>")...)
	}
	for _, chunk := range []int{1, 7, 64, 4096, len(stanzas)} {
		var p Parser
		p.Next(s, []byte(testHeader[len("<?xml version='1.0'?>"):]))
		elements := 0
		pass := func() {
			elements = 0
			for rest := stanzas; len(rest) > 0; {
				piece := rest[:min(chunk, len(rest))]
				rest = rest[len(piece):]
				for len(piece) > 0 {
					ev, n, err := p.Next(s, piece)
					if err != nil {
						t.Fatal(err)
					}
					if piece = piece[n:]; ev == Stanza {
						elements++
						root := s.Tape().Root()
						root.Attr("to")
						root.First().Is("jabber:client", "body")
					}
				}
			}
		}
		for range 4 { // each of the alternating documents has held each stanza
			pass()
		}
		if n := testing.AllocsPerRun(20, pass); n != 0 {
			t.Errorf("in pieces of %d bytes: %v allocations", chunk, n)
		}
		if elements != 16 || !p.Idle() {
			t.Errorf("in pieces of %d bytes: %d elements, want 16", chunk, elements)
		}
		p.Free(s)
	}
	header, wrong := []byte("<s xmlns='jabber:client' xmlns:p='u'>"), []byte("<!-")
	life := func() {
		var p Parser
		p.Next(s, header)
		p.Next(s, stanzas[:10])
		p.Free(s)
	}
	life()
	if n := testing.AllocsPerRun(20, life); n != 0 {
		t.Errorf("opening a stream: %v allocations", n)
	}
	refused := func() {
		var p Parser
		if _, _, err := p.Next(s, wrong); err == nil {
			t.Fatal("no error")
		}
	}
	if n := testing.AllocsPerRun(20, refused); n != 0 {
		t.Errorf("rejecting a stream: %v allocations", n)
	}
}

// TestMemory: an unfinished element costs no more than its limit allows.
func TestMemory(t *testing.T) {
	for _, in := range []struct{ open, unit string }{
		{"<m>", "x"}, {"<m>", "<a/>"}, {"<m>", "<a b=''/>"}, {"<m>", "&amp;"}, {"<m>", "<![CDATA[]]>"}, {"<m>&#", "0"}, {"<m a='", "&#9;"}, {"<m", " "}, {"<m></m", "\n"},
	} {
		const limit = 100000
		s := NewScratch(Limits{MaxStanza: limit})
		var p Parser
		p.Next(s, []byte("<s>"))
		piece := []byte(strings.Repeat(in.unit, 64))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := p.Next(s, []byte(in.open))
		sent := 0
		for ; err == nil && sent < 4*limit; sent += len(piece) {
			_, _, err = p.Next(s, piece)
		}
		runtime.ReadMemStats(&after)
		if err != ErrTooLarge {
			t.Errorf("%q repeated: %v, want %v", in.unit, err, ErrTooLarge)
		}
		// Buffers double: the total allocated is up to twice the final buffer, which is
		// up to twice the used size.
		if got := after.TotalAlloc - before.TotalAlloc; got > 4*(limit+24*limit/4) {
			t.Errorf("%q repeated: %d bytes allocated in total", in.unit, got)
		}
		if !p.Idle() {
			t.Errorf("%q: a buffer is kept after the error", in.unit)
		}
	}
}

// clone returns a parser in the same state.
func clone(p *Parser) *Parser {
	return &Parser{phase: p.phase, flags: p.flags, err: p.err, ctx: p.ctx, partial: p.partial}
}

// TestRestrict: a restricted stream has its own limit, its partial element has its own
// memory however large the previous one was, and Reset ends that.
func TestRestrict(t *testing.T) {
	const limit = 2000
	s := NewScratch(Limits{MaxRestricted: limit})
	var p, other Parser
	other.Next(s, []byte("<s>"))
	other.Next(s, []byte("<m>"+strings.Repeat("<a/>", 5000)+"</m>")) // leaves large buffers in the pool
	p.Restrict()
	p.Next(s, []byte("<s>"))
	message := func(n int) []byte { return []byte("<m>" + strings.Repeat("x", n-7) + "</m>") }
	for size, want := range map[int]error{limit: nil, limit + 1: ErrTooLarge} {
		for cut := range size {
			if cut%97 != 0 {
				continue
			}
			p := clone(&p)
			m := message(size)
			ev, _, err := p.Next(s, m[:cut])
			if n := p.Held(); cut > 0 && ev == None && err == nil && (n < cut || n > cut+1000) {
				t.Fatalf("%d bytes are used for an element of which %d have arrived", n, cut)
			}
			if err == nil {
				ev, _, err = p.Next(s, m[cut:])
			}
			if want == nil && (ev != Stanza || err != nil || string(s.Tape().Raw()) != string(m)) || want != nil && err != want {
				t.Fatalf("%d bytes, cut at %d: %v, %v", size, cut, ev, err)
			}
		}
	}
	if d := func() *Tape { p := clone(&p); p.Next(s, message(100)); return s.TakeCompact() }(); string(d.Raw()) != string(message(100)) || d.Held() > 1000 {
		t.Errorf("%q takes %d bytes", d.Raw(), d.Held())
	}
	p.Reset()
	p.Next(s, []byte("<s>"))
	if ev, _, err := p.Next(s, message(limit+1)); ev != Stanza || err != nil {
		t.Errorf("after Reset: %v, %v", ev, err)
	}
}

// TestPartialAfterLarge: an incomplete element that follows a large one, whose memory the
// Scratch still has, does not keep much more memory than it needs.
func TestPartialAfterLarge(t *testing.T) {
	s := NewScratch(Limits{})
	large := "<m>" + strings.Repeat("x<a/>", 50000)
	for _, cut := range []int{len(large), 100} { // it is in the parser's own memory, or in that of the loop
		var p Parser
		p.Next(s, []byte("<s>"))
		p.Next(s, []byte(large)[:cut])
		rest := []byte(large[cut:] + "</m><m>" + strings.Repeat("<a/>", 10))
		ev, n, err := p.Next(s, rest)
		if ev != Stanza || err != nil {
			t.Fatalf("%v, %v", ev, err)
		}
		if ev, _, err := p.Next(s, rest[n:]); ev != None || err != nil {
			t.Fatalf("%v, %v", ev, err)
		}
		if held, used := p.Held(), p.Used(); held > maxSpare+2*used+1000 || used < 10*24 || used > 2000 {
			t.Errorf("an element of 43 bytes holds %d bytes and uses %d", held, used)
		}
		if ev, _, err := p.Next(s, []byte("</m>")); ev != Stanza || err != nil || len(s.Tape().Tokens()) != 11 {
			t.Errorf("%v, %v, %d tokens", ev, err, len(s.Tape().Tokens()))
		}
	}
}
