package prosody

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// table is a table of Lua, as Prosody stores it. A value is a string, an int64, a float64, a
// bool or a *table.
type table struct {
	list  []any // values without keys
	pairs []pair
}

// pair is a value with its key, a string or another value.
type pair struct{ key, value any }

// get returns the value of a key, or nil.
func (t *table) get(key any) any {
	if t == nil {
		return nil
	}
	for _, p := range t.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// table returns a table that is the value of a key, or nil.
func (t *table) table(key any) *table {
	v, _ := t.get(key).(*table)
	return v
}

// text returns the string that is the value of a key, or "".
func (t *table) text(key any) string {
	v, _ := t.get(key).(string)
	return v
}

// number returns the number that is the value of a key, or 0.
func (t *table) number(key any) int64 {
	switch v := t.get(key).(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return 0
}

// maxDepth is how deeply tables may be nested.
const maxDepth = 200

// lua reads a file that Prosody has written: "return" and a table, or calls of "item" with a
// table each. It is not a program: it has constants and tables, and nothing else.
type lua struct {
	src []byte
	pos int

	lines, counted int // the lines that end before counted
}

// syntaxError is a mistake in a file, with its line.
type syntaxError struct {
	line int
	text string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.text) }

// parse calls f for each table of a file, with its line.
func parse(src []byte, f func(line int, t *table)) error {
	p := &lua{src: src}
	for {
		p.space()
		line := p.line()
		var t *table
		var err error
		switch {
		case p.pos == len(p.src):
			return nil
		case p.word("return"):
			t, err = p.one()
		case p.word("item"):
			if err = p.expect('('); err == nil {
				if t, err = p.one(); err == nil {
					err = p.expect(')')
				}
			}
		default:
			err = p.failed("neither return nor item")
		}
		if err != nil {
			return err
		}
		p.space()
		p.char(';')
		f(line, t)
	}
}

// one reads a table.
func (p *lua) one() (*table, error) {
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	t, ok := v.(*table)
	if !ok {
		return nil, p.failed("not a table")
	}
	return t, nil
}

// line returns the number of the present line.
func (p *lua) line() int {
	p.lines += bytes.Count(p.src[p.counted:p.pos], []byte("\n"))
	p.counted = p.pos
	return p.lines + 1
}

func (p *lua) failed(text string) error { return &syntaxError{p.line(), text} }

func (p *lua) space() {
	for p.pos < len(p.src) && (p.src[p.pos] == ' ' || p.src[p.pos] >= '\t' && p.src[p.pos] <= '\r') {
		p.pos++
	}
}

// char skips a character if it is the next one.
func (p *lua) char(c byte) bool {
	if p.pos < len(p.src) && p.src[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// expect skips white space and a character.
func (p *lua) expect(c byte) error {
	p.space()
	if !p.char(c) {
		return p.failed(fmt.Sprintf("%q is missing", c))
	}
	return nil
}

// word skips a word if it is the next one.
func (p *lua) word(w string) bool {
	end := p.pos + len(w)
	if end > len(p.src) || string(p.src[p.pos:end]) != w || end < len(p.src) && isName(p.src[end]) {
		return false
	}
	p.pos = end
	return true
}

func isName(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// value reads a value in depth tables.
func (p *lua) value(depth int) (any, error) {
	p.space()
	switch {
	case p.pos == len(p.src):
		return nil, p.failed("the file ends early")
	case p.char('{'):
		if depth == maxDepth {
			return nil, p.failed(fmt.Sprintf("more than %d tables are nested", maxDepth))
		}
		return p.fields(depth + 1)
	case p.char('"'):
		return p.text('"')
	case p.char('\''):
		return p.text('\'')
	case p.word("true"):
		return true, nil
	case p.word("false"):
		return false, nil
	case p.word("nil"):
		return nil, nil
	}
	return p.numeral()
}

// fields reads a table after its opening brace.
func (p *lua) fields(depth int) (*table, error) {
	t := new(table)
	for {
		p.space()
		if p.char('}') {
			return t, nil
		}
		key, keyed, err := p.key(depth)
		if err != nil {
			return nil, err
		}
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		if keyed {
			t.pairs = append(t.pairs, pair{key, v})
		} else {
			t.list = append(t.list, v)
		}
		p.space()
		if !p.char(';') && !p.char(',') {
			if err := p.expect('}'); err != nil {
				return nil, err
			}
			return t, nil
		}
	}
}

// key reads the key of a field, if it has one. A number as the key of a list's element is
// none.
func (p *lua) key(depth int) (key any, keyed bool, err error) {
	if !p.char('[') {
		start := p.pos
		for p.pos < len(p.src) && isName(p.src[p.pos]) {
			p.pos++
		}
		name := string(p.src[start:p.pos])
		if p.space(); name != "" && (name[0] < '0' || name[0] > '9') && p.char('=') {
			return name, true, nil
		}
		p.pos = start
		return nil, false, nil
	}
	if key, err = p.value(depth); err == nil {
		if err = p.expect(']'); err == nil {
			err = p.expect('=')
		}
	}
	if _, isTable := key.(*table); isTable && err == nil {
		err = p.failed("a table is the key of a field")
	}
	_, number := key.(int64)
	return key, !number, err
}

// text reads a string after its opening quote.
func (p *lua) text(quote byte) (string, error) {
	var b []byte
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		p.pos++
		switch c {
		case quote:
			return string(b), nil
		case '\\':
			c, err := p.escape()
			if err != nil {
				return "", err
			}
			b = append(b, c)
		default:
			b = append(b, c)
		}
	}
	return "", p.failed("a string does not end")
}

// escape reads the rest of an escape sequence.
func (p *lua) escape() (byte, error) {
	if p.pos == len(p.src) {
		return 0, p.failed("a string does not end")
	}
	c := p.src[p.pos]
	if c >= '0' && c <= '9' {
		n := 0
		for i := 0; i < 3 && p.pos < len(p.src) && p.src[p.pos] >= '0' && p.src[p.pos] <= '9'; i++ {
			n = 10*n + int(p.src[p.pos]-'0')
			p.pos++
		}
		if n > 255 {
			return 0, p.failed("a string has an escape sequence that is too large")
		}
		return byte(n), nil
	}
	p.pos++
	if i := bytes.IndexByte([]byte("abfnrtv"), c); i >= 0 {
		return "\a\b\f\n\r\t\v"[i], nil
	}
	return c, nil // a quote, a backslash, or a line break
}

// numeral reads a number.
func (p *lua) numeral() (any, error) {
	start := p.pos
	for p.pos < len(p.src) && (isName(p.src[p.pos]) || bytes.IndexByte([]byte("+-."), p.src[p.pos]) >= 0) {
		p.pos++
	}
	text := string(p.src[start:p.pos])
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || text == "" {
		return nil, p.failed("neither a constant nor a table")
	}
	return n, nil
}
