package xmpptest

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// verb is the kind of a step.
type verb uint8

const (
	send         verb = iota // client C: xml
	expect                   // client S: xml
	authenticate             // authenticate client account: log in without a resource
	sasl2                    // sasl2 client account mechanism requests: authenticate by SCRAM in SASL2, up to the server's last message
	login                    // login client account resource
	online                   // online client account resource
	open                     // open client
	drop                     // drop client
	restart                  // restart: the server is stopped as planned, and started again
	anyOrder                 // any order: the following expectations, until "in order"
	inOrder                  // in order
	oneNode                  // one node: RunOnNodes does not play the dialogue
)

// step is one line of a dialogue.
type step struct {
	line   int
	verb   verb
	client string
	text   string // the XML, or the words of the line
}

// Dialogue is a parsed dialogue.
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

// Parse parses a dialogue. Lines that begin with '#' are comments. Lines that begin with
// white space continue the line before.
func Parse(name, text string) (*Dialogue, error) {
	d := &Dialogue{Name: name}
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(d.steps) == 0 {
				return nil, fmt.Errorf("%s:%d: there is no line to continue", name, i+1)
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
	verbs := map[string]verb{"authenticate": authenticate, "sasl2": sasl2, "login": login, "online": online, "open": open, "drop": drop}
	switch {
	case line == "restart":
		return step{verb: restart}, nil
	case line == "any order":
		return step{verb: anyOrder}, nil
	case line == "in order":
		return step{verb: inOrder}, nil
	case line == "one node":
		return step{verb: oneNode}, nil
	case len(words) >= 2 && (words[1] == "C:" || words[1] == "S:"):
		_, text, _ := strings.Cut(line, words[1])
		v := send
		if words[1] == "S:" {
			v = expect
		}
		return step{verb: v, client: words[0], text: strings.TrimSpace(text)}, nil
	}
	if v, ok := verbs[words[0]]; ok && len(words) >= 2 {
		return step{verb: v, client: words[1], text: strings.Join(words[1:], " ")}, nil
	}
	return step{}, fmt.Errorf("%q is not a step of a dialogue", line)
}

// longest returns the length of the longest text that a client sends.
func (d *Dialogue) longest() int {
	n := 0
	for _, s := range d.steps {
		if s.verb == send {
			n = max(n, len(s.text))
		}
	}
	return n
}

// onNodes reports whether a dialogue is played on several nodes.
func (d *Dialogue) onNodes() bool {
	return !slices.ContainsFunc(d.steps, func(s step) bool { return s.verb == oneNode })
}
