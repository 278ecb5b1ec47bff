package sqlrows

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// dialect is whose SQL it is. They differ in the meaning of a backslash in a string.
type dialect int

const (
	unknown dialect = iota
	sqliteText
	postgresText
	mysqlText
)

// lexer reads the text of a dump, byte by byte. Its first error stays.
type lexer struct {
	name    string
	in      *bufio.Reader
	line    int
	dialect dialect
	open    int // headers of dumps without the line that ends them
	depth   int // of the value that is read, in others
	// The database and the schema of names that have none, "" if the dump does not tell.
	database, schema string
	err              error
}

// at returns the present place.
func (l *lexer) at() string { return fmt.Sprintf("%s:%d", l.name, l.line) }

// fail sets the error, unless there is one.
func (l *lexer) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf("%s: %s", l.at(), fmt.Sprintf(format, args...))
	}
}

// peek returns the next byte, 0 at the end or after an error.
func (l *lexer) peek() byte {
	if l.err != nil {
		return 0
	}
	b, err := l.in.Peek(1)
	if err != nil {
		if err != io.EOF {
			l.fail("%v", err)
		}
		return 0
	}
	return b[0]
}

// next reads a byte. It fails at the end.
func (l *lexer) next() byte {
	if l.err != nil {
		return 0
	}
	c, err := l.in.ReadByte()
	switch {
	case err == io.EOF:
		l.fail("the file is not complete: it ends in a statement")
	case err != nil:
		l.fail("%v", err)
	case c == '\n':
		l.line++
	}
	return c
}

// ended reports whether there is nothing left, or an error.
func (l *lexer) ended() bool {
	if l.err != nil {
		return true
	}
	_, err := l.in.Peek(1)
	return err == io.EOF
}

// ends are the bytes that end a run.
type ends [256]bool

// The bytes that have a meaning in a string, and those that do not belong to a word.
var (
	textEnds = ends{'\'': true, '\\': true, '\n': true}
	wordEnds = func() (e ends) {
		for c := range e {
			e[c] = !isWord(byte(c))
		}
		return e
	}()
)

// run appends the bytes before one that ends the run, as far as they are in the buffer.
func (l *lexer) run(b []byte, e *ends) []byte {
	if l.err != nil {
		return b
	}
	c, _ := l.in.Peek(l.in.Buffered())
	n := 0
	for n < len(c) && !e[c[n]] {
		n++
	}
	b = append(b, c[:n]...)
	_, _ = l.in.Discard(n) // they are in the buffer
	return b
}

// second returns the byte after the next one, 0 if there is none.
func (l *lexer) second() byte {
	if b, _ := l.in.Peek(2); l.err == nil && len(b) == 2 {
		return b[1]
	}
	return 0
}

// accept skips a byte if it is the next one.
func (l *lexer) accept(c byte) bool {
	if l.peek() != c || l.ended() {
		return false
	}
	l.next()
	return true
}

// space skips white space and comments.
func (l *lexer) space() {
	for !l.ended() {
		switch c := l.peek(); {
		case c == ' ' || c >= '\t' && c <= '\r':
			l.next()
		case c == '-' && l.second() == '-', c == '#' && l.dialect == mysqlText:
			l.comment()
		case c == '/' && l.second() == '*':
			l.block()
		default:
			return
		}
	}
}

// commentStart is how much of a comment matters, in bytes.
const commentStart = 256

// rest reads the rest of a line, and returns its start.
func (l *lexer) rest() string {
	var text []byte
	for !l.ended() {
		c := l.next()
		if c == '\n' {
			break
		}
		if len(text) < commentStart {
			text = append(text, c)
		}
	}
	return string(text)
}

// comment skips a line. The comments at the beginning and the end of a dump tell which
// program has written it, and that it is complete.
func (l *lexer) comment() {
	text := strings.Trim(l.rest(), "-# \t\r")
	switch {
	case strings.HasPrefix(text, "PostgreSQL database ") && strings.HasSuffix(text, "dump"):
		l.dialect = postgresText
		l.open++
	case strings.HasPrefix(text, "PostgreSQL database ") && strings.HasSuffix(text, "dump complete"), strings.HasPrefix(text, "Dump completed"):
		l.open = max(0, l.open-1)
	case strings.HasPrefix(text, "MySQL dump "), strings.HasPrefix(text, "MariaDB dump "):
		l.dialect = mysqlText
		l.open++
	case l.dialect == mysqlText && strings.HasPrefix(text, "Host: "):
		_, name, _ := strings.Cut(text, " Database: ")
		l.database, l.schema = strings.TrimSpace(name), ""
	}
}

// block skips a comment between /* and */.
func (l *lexer) block() {
	var text []byte
	l.next()
	l.next()
	for l.err == nil {
		c := l.next()
		if c == '*' && l.accept('/') {
			break
		}
		if len(text) < commentStart {
			text = append(text, c)
		}
	}
	_, set, ok := strings.Cut(string(text), "SET NAMES ")
	if set = strings.TrimSpace(set); ok && !strings.HasPrefix(set, "utf8") && !strings.HasPrefix(set, "@") {
		l.fail("the text is in the character set %q: write the dump with --default-character-set=utf8mb4", clip(set))
	}
}

// clip returns the beginning of a text for a message.
func clip(s string) string {
	if len(s) <= 40 {
		return s
	}
	return strings.ToValidUTF8(s[:40], "") + "…"
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// maxName is the length of the longest word or name, in bytes.
const maxName = 256

// word reads a word, such as a keyword, a name without quotes or a number; "" if there is
// none.
func (l *lexer) word() string {
	l.space()
	var text []byte
	for isWord(l.peek()) {
		if text = append(text, l.next()); len(text) > maxName {
			l.fail("a word is longer than %d bytes", maxName)
		}
	}
	return string(text)
}

// ident reads a name, and reports whether it is in quotes.
func (l *lexer) ident() (name string, quoted bool) {
	l.space()
	quote := l.peek()
	switch quote {
	case '`':
		if l.dialect == unknown {
			l.dialect = mysqlText
		}
	case '"':
	default:
		if name = l.word(); name == "" {
			l.fail("a name is missing")
		}
		return name, false
	}
	l.next()
	var text []byte
	for l.err == nil {
		c := l.next()
		if c == quote && !l.accept(quote) {
			break
		}
		if text = append(text, c); len(text) > maxName {
			l.fail("a name is longer than %d bytes", maxName)
		}
	}
	return string(text), true
}

// expect skips white space and a byte.
func (l *lexer) expect(c byte) {
	if l.space(); !l.accept(c) {
		l.fail("%q is missing", c)
	}
}

// statement skips the rest of a statement, and its semicolon.
func (l *lexer) statement() {
	for l.err == nil {
		if l.space(); l.ended() {
			l.next() // fails
			return
		}
		switch c := l.peek(); {
		case c == ';':
			l.next()
			return
		case c == '\'':
			l.next()
			l.skipString(l.dialect == mysqlText)
		case c == '"', c == '`':
			l.next()
			l.skipQuoted(c)
		case c == '$' && l.dialect == postgresText:
			l.dollar()
		case isWord(c):
			if w := l.word(); (w == "E" || w == "e") && l.accept('\'') {
				l.skipString(true)
			}
		default:
			l.next()
		}
	}
}

// skipString skips the rest of a string.
func (l *lexer) skipString(escapes bool) {
	for l.err == nil {
		switch c := l.next(); {
		case c == '\'' && !l.accept('\''):
			return
		case c == '\\' && escapes:
			l.next()
		}
	}
}

func (l *lexer) skipQuoted(quote byte) {
	for l.err == nil && l.next() != quote {
	}
}

// dollar skips a string between two equal tags, $tag$ or $$.
func (l *lexer) dollar() {
	tag := func() string {
		text := []byte{l.next()}
		for isWord(l.peek()) && l.peek() != '$' && len(text) < maxName {
			text = append(text, l.next())
		}
		if l.peek() == '$' {
			return string(text) + "$"
		}
		return ""
	}
	first := tag()
	if first == "" {
		return // a parameter, such as $1
	}
	l.next()
	for l.err == nil {
		if l.peek() == '$' && !l.ended() {
			if tag() == first {
				l.next()
				return
			}
			continue
		}
		l.next()
	}
}
