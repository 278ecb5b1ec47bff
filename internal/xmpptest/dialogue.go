package xmpptest

import (
	"fmt"
	"os"
	"strings"
)

// verb is what a step of a dialogue does.
type verb uint8

const (
	sends   verb = iota // client C: xml
	gets                // client S: xml
	login               // login client account resource
	online              // online client account resource
	open                // open client
	drops               // drop client
	anyways             // any order: what follows, until "in order"
	ordered             // in order
)

// step is one line of a dialogue.
type step struct {
	line   int
	verb   verb
	client string
	text   string // XML, or the words of the line
}

// Dialogue is a text file, parsed.
type Dialogue struct {
	Name  string
	steps []step
}

// Load reads a dialogue from a file.
func Load(file string) (*Dialogue, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, string(text))
}

// Parse reads a dialogue. Lines that begin with '#' are comments, lines that
// begin with white space continue the line before.
func Parse(name, text string) (*Dialogue, error) {
	d := &Dialogue{Name: name}
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(d.steps) == 0 {
				return nil, fmt.Errorf("%s:%d: nothing to continue", name, i+1)
			}
			d.steps[len(d.steps)-1].text += "\n" + line
			continue
		}
		s, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		s.line = i + 1
		d.steps = append(d.steps, s)
	}
	return d, nil
}

func parseStep(line string) (step, error) {
	words := strings.Fields(line)
	verbs := map[string]verb{"login": login, "online": online, "open": open, "drop": drops}
	switch {
	case line == "any order":
		return step{verb: anyways}, nil
	case line == "in order":
		return step{verb: ordered}, nil
	case len(words) >= 2 && (words[1] == "C:" || words[1] == "S:"):
		_, text, _ := strings.Cut(line, words[1])
		v := sends
		if words[1] == "S:" {
			v = gets
		}
		return step{verb: v, client: words[0], text: strings.TrimSpace(text)}, nil
	}
	if v, ok := verbs[words[0]]; ok && len(words) >= 2 {
		return step{verb: v, client: words[1], text: strings.Join(words[1:], " ")}, nil
	}
	return step{}, fmt.Errorf("%q is no step of a dialogue", line)
}

// longest is the length of the longest text that a client sends.
func (d *Dialogue) longest() int {
	n := 0
	for _, s := range d.steps {
		if s.verb == sends {
			n = max(n, len(s.text))
		}
	}
	return n
}
