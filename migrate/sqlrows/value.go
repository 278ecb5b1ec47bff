package sqlrows

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// maxNested is how deep values may be nested. sqlite3 .dump writes one call in another one.
const maxNested = 5

// value reads a constant as text, of at most maxRow bytes. NULL is "".
func (l *lexer) value() string {
	if l.depth == maxNested {
		l.fail("more than %d values are nested", maxNested)
		return ""
	}
	l.depth++
	defer func() { l.depth-- }()
	l.space()
	switch c := l.peek(); {
	case c == '\'':
		l.next()
		return l.text(l.dialect == mysqlText, l.dialect == unknown, maxRow)
	case c == '0' && l.second()|0x20 == 'x':
		l.next()
		l.next()
		return l.hex(l.digits())
	case isWord(c):
		return l.named(l.word())
	case c == '-' || c == '+' || c == '.':
		l.next()
		return string(c) + l.number(l.word())
	}
	l.fail("neither a constant nor a list of them")
	return ""
}

// named reads a value that begins with a word.
func (l *lexer) named(word string) string {
	upper := strings.ToUpper(word)
	switch {
	case upper == "NULL":
		return ""
	case upper == "TRUE", upper == "FALSE":
		return strings.ToLower(word)
	case word[0] >= '0' && word[0] <= '9':
		return l.number(word)
	case word[0] == '_': // a character set
		return l.value()
	case l.peek() == '\'' && (upper == "X" || upper == "E" || upper == "N"):
		l.next()
		if upper == "X" {
			return l.hex(l.text(false, false, maxDigits))
		}
		return l.text(upper == "E" || upper == "N" && l.dialect == mysqlText, false, maxRow)
	case upper == "REPLACE" || upper == "CHAR" || upper == "UNISTR":
		return l.call(upper)
	}
	l.fail("%q is not a constant", clip(word))
	return ""
}

// number reads the rest of a number after its first digits.
func (l *lexer) number(text string) string {
	for l.err == nil {
		switch c := l.peek(); {
		case c == '.', (c == '-' || c == '+') && strings.HasSuffix(strings.ToLower(text), "e"):
			text += string(l.next()) + l.word()
		default:
			if _, err := strconv.ParseFloat(text, 64); err != nil && !strings.Contains(err.Error(), "range") {
				l.fail("%q is not a number", clip(text))
			}
			return text
		}
		if len(text) > maxName {
			l.fail("a number is longer than %d bytes", maxName)
		}
	}
	return text
}

// maxDigits is the number of hexadecimal digits of the largest value.
const maxDigits = 2 * maxRow

// digits reads the digits of a value after 0x, as mysqldump --hex-blob writes it.
func (l *lexer) digits() string {
	var b []byte
	for isWord(l.peek()) {
		if b = l.run(b, &wordEnds); len(b) > maxDigits {
			l.fail("a value is larger than %d MiB", maxRow>>20)
		}
	}
	return string(b)
}

func (l *lexer) hex(digits string) string {
	b, err := hex.DecodeString(digits)
	if err != nil {
		l.fail("a value in hexadecimal digits has others, or an odd number of them")
	}
	return string(b)
}

// text reads a string after its opening quote, of at most limit bytes. It fails at a
// backslash if nobody knows what that means.
func (l *lexer) text(escapes, ambiguous bool, limit int) string {
	var b []byte
	for l.err == nil {
		b = l.run(b, &textEnds)
		c := l.next()
		switch {
		case c == '\'' && !l.accept('\''):
			return string(b)
		case c != '\\':
		case ambiguous:
			l.fail("a string has a backslash, and which database has written the file is unknown: its first lines are missing")
		case escapes:
			c = l.escape()
		}
		if b = append(b, c); len(b) > limit {
			l.fail("a value is larger than %d MiB", maxRow>>20)
		}
	}
	return ""
}

// escape reads the byte that follows a backslash.
func (l *lexer) escape() byte {
	switch c := l.next(); c {
	case '0':
		return 0
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'Z':
		return 0x1a
	default:
		return c
	}
}

// call reads the arguments of a function by which sqlite3 .dump writes strings with line
// breaks, and returns its result.
func (l *lexer) call(name string) string {
	var args []string
	l.expect('(')
	for l.err == nil {
		args = append(args, l.value())
		if l.space(); !l.accept(',') {
			break
		}
		if len(args) == maxArguments {
			l.fail("a function has too many arguments")
		}
	}
	l.expect(')')
	switch {
	case l.err != nil:
	case name == "REPLACE" && len(args) == 3:
		if n := strings.Count(args[0], args[1]); len(args[0])+n*len(args[2]) > maxRow {
			l.fail("a value is larger than %d MiB", maxRow>>20)
			return ""
		}
		return strings.ReplaceAll(args[0], args[1], args[2])
	case name == "CHAR" && len(args) == 1:
		if n, err := strconv.ParseUint(args[0], 10, 21); err == nil {
			return string(rune(n))
		}
		l.fail("the argument of CHAR is not a character")
	case name == "UNISTR" && len(args) == 1:
		return l.unistr(args[0])
	default:
		l.fail("the function %s has a wrong number of arguments", name)
	}
	return ""
}

const maxArguments = 3

// unistr returns a string with its escape sequences replaced: \XXXX, \uXXXX, \+XXXXXX,
// \UXXXXXXXX and \\.
func (l *lexer) unistr(s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, `\`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		skip, digits := 0, 4
		switch {
		case strings.HasPrefix(after, `\`):
			b.WriteByte('\\')
			s = after[1:]
			continue
		case strings.HasPrefix(after, "u"):
			skip = 1
		case strings.HasPrefix(after, "+"):
			skip, digits = 1, 6
		case strings.HasPrefix(after, "U"):
			skip, digits = 1, 8
		}
		if len(after) < skip+digits {
			l.fail("an escape sequence of UNISTR is not complete")
			return ""
		}
		n, err := strconv.ParseUint(after[skip:skip+digits], 16, 21)
		if err != nil {
			l.fail("an escape sequence of UNISTR is not hexadecimal")
			return ""
		}
		b.WriteRune(rune(n))
		s = after[skip+digits:]
	}
}
