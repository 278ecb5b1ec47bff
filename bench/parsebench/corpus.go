package parsebench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// Corpus is a stream as a server receives it: a header, first-level elements, and the
// closing tag.
type Corpus struct {
	Name    string
	Data    []byte
	Stanzas int // first-level elements
}

// DefaultSize is the size in bytes of a corpus for measurements: far more than caches and
// branch predictors hold.
const DefaultSize = 64 << 20

// Names lists the corpora that Generate can make.
//
//   - mix: typical traffic of mobile clients, 618 bytes per element
//   - small: pings, receipts, acknowledgements and short lines, 107 bytes
//   - large: files in base64, 4 KB
//   - utf8: chat in scripts whose characters take two to four bytes
var Names = []string{"mix", "small", "large", "utf8"}

const (
	header = "<?xml version='1.0'?><stream:stream from='romeo@example.net' to='example.net' version='1.0' xml:lang='en'" +
		" xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	closing = "</stream:stream>"
)

// share is the frequency of a kind of element.
type share struct {
	of    int
	write func(*generator)
}

var shares = map[string][]share{
	"mix": {
		{155, (*generator).chat}, {65, (*generator).longChat}, {40, (*generator).escapedChat}, {60, (*generator).foreignChat},
		{180, (*generator).encrypted}, {95, (*generator).groupChat}, {40, (*generator).groupPresence}, {95, (*generator).presence},
		{45, (*generator).receipt}, {45, (*generator).marker}, {45, (*generator).chatState}, {25, (*generator).ping}, {42, (*generator).ack},
		{20, (*generator).roster}, {12, (*generator).rosterPush}, {16, (*generator).disco}, {20, (*generator).archived},
	},
	"small": {
		{150, (*generator).ping}, {220, (*generator).chatState}, {60, (*generator).ack}, {240, (*generator).receipt},
		{285, (*generator).shortChat}, {45, (*generator).shortPresence},
	},
	"large": {{960, (*generator).file}, {40, (*generator).chat}},
	"utf8":  {{820, (*generator).foreignTalk}, {100, (*generator).foreignChat}, {50, (*generator).chat}, {30, (*generator).receipt}},
}

// Generate makes a corpus of about size bytes. The result is deterministic.
func Generate(name string, size int) (Corpus, error) {
	kinds, ok := shares[name]
	if !ok {
		return Corpus{}, fmt.Errorf("parsebench: unknown corpus %q", name)
	}
	g := &generator{r: rand.New(rand.NewPCG(0x726f6f7374, uint64(len(name))<<8|uint64(name[0])))}
	g.b = append(make([]byte, 0, size+size/16+1<<16), header...)
	c := Corpus{Name: name}
	for ; len(g.b) < size-len(closing); c.Stanzas++ {
		n := g.r.IntN(1000)
		for i := range kinds {
			if n -= kinds[i].of; n < 0 {
				kinds[i].write(g)
				break
			}
		}
	}
	c.Data = append(g.b, closing...)
	return c, nil
}

// generator appends elements to a buffer.
type generator struct {
	r    *rand.Rand
	b    []byte
	acks int
}

// add appends text, calling the next of args for each '%'.
func (g *generator) add(text string, args ...func()) {
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			g.b = append(g.b, text[i])
			continue
		}
		args[0]()
		args = args[1:]
	}
	if len(args) != 0 {
		panic("parsebench: BUG: more arguments than places: " + text)
	}
}

func (g *generator) one(of []string) { g.b = append(g.b, of[g.r.IntN(len(of))]...) }

// chance reports true once in n times.
func (g *generator) chance(n int) bool { return g.r.IntN(n) == 0 }

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func (g *generator) letters(n int, of string) {
	for range n {
		g.b = append(g.b, of[g.r.IntN(len(of))])
	}
}

// id appends an id of the kinds that clients use: random, or a prefix and a counter.
func (g *generator) id() {
	switch g.r.IntN(4) {
	case 0:
		g.uuid()
	case 1:
		g.letters(5, alphanumeric[26:62])
		g.b = append(g.b, '-')
		g.b = strconv.AppendInt(g.b, int64(g.r.IntN(9999)), 10)
	default:
		g.letters(10+g.r.IntN(7), alphanumeric[:62])
	}
}

// shortID appends a short prefix and a counter.
func (g *generator) shortID() {
	g.letters(2, alphanumeric[26:52])
	g.b = strconv.AppendInt(g.b, int64(g.r.IntN(99999)), 10)
}

func (g *generator) uuid() {
	for i, n := range []int{8, 4, 4, 4, 12} {
		if i > 0 {
			g.b = append(g.b, '-')
		}
		g.letters(n, "0123456789abcdef")
	}
}

func (g *generator) number(most int) func() {
	return func() { g.b = strconv.AppendInt(g.b, int64(g.r.IntN(most)), 10) }
}

func (g *generator) base64(n int) func() {
	return func() {
		g.letters(n&^3-1, alphanumeric)
		g.b = append(g.b, '=')
	}
}

func (g *generator) stamp() {
	two := func(n int) func() {
		return func() { g.b = fmt.Appendf(g.b, "%02d", n) }
	}
	g.add("2026-%-%T%:%:%.%Z", two(1+g.r.IntN(12)), two(1+g.r.IntN(28)), two(g.r.IntN(24)), two(g.r.IntN(60)), two(g.r.IntN(60)),
		func() { g.b = fmt.Appendf(g.b, "%03d", g.r.IntN(1000)) })
}

func (g *generator) bare() {
	g.one(people)
	if g.chance(2) {
		g.b = strconv.AppendInt(g.b, int64(g.r.IntN(2000)), 10)
	}
	g.b = append(g.b, '@')
	g.one(domains)
}

func (g *generator) full() {
	g.bare()
	g.b = append(g.b, '/')
	g.one(clients)
	g.letters(4+g.r.IntN(5), alphanumeric[:62])
}

func (g *generator) to() {
	if g.chance(2) {
		g.bare()
		return
	}
	g.full()
}

func (g *generator) room() {
	g.one(words)
	g.add("@conference.%", func() { g.one(domains) })
}
