package sqlrows

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// copy reads the rows of COPY … FROM stdin.
func (d *dump) copy(ctx context.Context) {
	if d.dialect == unknown {
		d.dialect = postgresText
	}
	at := d.at()
	schema, table := d.table()
	columns := d.names()
	if from, stdin := d.word(), d.word(); !strings.EqualFold(from, "FROM") || !strings.EqualFold(stdin, "stdin") {
		d.fail("COPY that is not from stdin")
	}
	d.expect(';')
	d.rest()
	want := d.begin(schema, table, columns)
	for d.err == nil {
		line := d.wholeLine()
		switch {
		case d.err != nil:
		case string(line) == `\.`:
			return
		case !want:
			d.skipped(at, schema, table)
		default:
			d.row.At = fmt.Sprintf("%s:%d", d.name, d.line-1)
			d.fields(line)
			d.deliver(ctx)
		}
	}
}

// wholeLine reads a line, without its end. It is valid until the next call.
func (d *dump) wholeLine() []byte {
	line, err := d.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		d.long = append(d.long[:0], line...)
		for err == bufio.ErrBufferFull {
			if len(d.long) > 2*maxRow {
				d.fail("a row is larger than %d MiB", maxRow>>20)
				return nil
			}
			line, err = d.in.ReadSlice('\n')
			d.long = append(d.long, line...)
		}
		line = d.long
	}
	switch {
	case err == io.EOF:
		d.fail("the file is not complete: it ends in the rows of the table %s", clip(d.row.Table))
		return nil
	case err != nil:
		d.fail("%v", err)
		return nil
	}
	d.line++
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// fields sets the values of the row to those of a line of COPY
// (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format").
func (d *dump) fields(line []byte) {
	d.row.values = d.row.values[:0]
	if len(line) == 0 && len(d.row.columns) == 0 {
		return
	}
	field := make([]byte, 0, len(line))
	for i := 0; i <= len(line); i++ {
		switch {
		case i == len(line), line[i] == '\t':
			if len(d.row.values) <= maxColumns {
				d.row.values = append(d.row.values, string(field))
			}
			field = field[:0]
		case line[i] == '\\' && i+1 < len(line):
			var n int
			field, n = appendEscape(field, line[i+1:])
			i += n
		default:
			field = append(field, line[i])
		}
	}
}

// appendEscape appends what the sequence after a backslash stands for, and returns its
// length.
func appendEscape(b, rest []byte) ([]byte, int) {
	number := func(start, most, base int) ([]byte, int) {
		n, i := 0, start
		for ; i < len(rest) && i < start+most; i++ {
			digit := slices.Index([]byte("0123456789abcdef"), rest[i]|0x20)
			if rest[i] < 'A' {
				digit = int(rest[i]) - '0'
			}
			if digit < 0 || digit >= base {
				break
			}
			n = n*base + digit
		}
		if i == start {
			return append(b, rest[0]), 1
		}
		return append(b, byte(n)), i
	}
	switch c := rest[0]; {
	case c == 'N': // NULL
		return b, 1
	case c >= '0' && c <= '7':
		return number(0, 3, 8)
	case c == 'x':
		return number(1, 2, 16)
	default:
		if i := strings.IndexByte("bfnrtv", c); i >= 0 {
			c = "\b\f\n\r\t\v"[i]
		}
		return append(b, c), 1
	}
}
