package parsebench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"roost/parser"
)

// limits are those of a server, except for the size of a stanza: a capture may come from
// a server that allows more.
var limits = parser.Limits{MaxStanza: 64 << 20}

const nsStreams = "http://etherx.jabber.org/streams"

// Load reads a capture of one direction of a stream: a header, first-level elements, and
// optionally the closing tag. It returns an error if the file is anything else.
func Load(file string) (Corpus, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return Corpus{}, fmt.Errorf("%s: %w", file, err)
	}
	c := Corpus{Name: filepath.Base(file), Data: data}
	if err := c.check(); err != nil {
		return Corpus{}, fmt.Errorf("%s is not an XMPP capture: %w", file, err)
	}
	return c, nil
}

// check parses the capture once and counts its stanzas.
func (c *Corpus) check() error {
	if len(bytes.TrimSpace(c.Data)) == 0 {
		return errors.New("it is empty")
	}
	s := parser.NewScratch(limits)
	var p parser.Parser
	defer p.Free(s)
	open, begun := false, 0
	for at := 0; at < len(c.Data); {
		begun = at
		ev, n, err := p.Next(s, c.Data[at:])
		at += n
		if err != nil {
			return fmt.Errorf("byte %d: %w", at, err)
		}
		switch ev {
		case parser.StreamOpen:
			if !s.Tape().Root().Is(nsStreams, "stream") {
				return fmt.Errorf("it begins with <%s/>, not with a stream header", s.Tape().Root().Local())
			}
			open = true
		case parser.Stanza:
			c.Stanzas++
		}
	}
	switch {
	case !open:
		return errors.New("it ends within the stream header")
	case !p.Idle():
		return fmt.Errorf("it ends within the element that begins at byte %d", begun)
	case c.Stanzas == 0:
		return errors.New("the stream is empty")
	}
	return nil
}
