package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"roost/internal/cli"
	"roost/jid"
	"roost/migrate"
	"roost/store"
)

// maxRecord is the longest line of an account file in bytes, including its end.
const maxRecord = 64 << 10

// Errors in a line. They do not contain its text: a password may be anywhere in it.
var (
	errRecordLong    = fmt.Errorf("the line is longer than %d bytes", maxRecord)
	errQuoteOpen     = errors.New("a double quote is not closed on the same line")
	errQuoteInside   = errors.New("a misplaced double quote: quote the whole field, and double each double quote in it")
	errSwapped       = errors.New("the address is the second field: each line must be jid,password")
	errAddress       = errors.New("the first field is not the address of an account, such as user@domain")
	errLongPassword  = fmt.Errorf("the password is longer than %d bytes", store.MaxPassword)
	errSwappedHeader = cli.UsageError("the header says password,jid: the fields must be in the order jid,password")
)

// csv is a source of the accounts in a CSV file.
func (im *importer) csv(in io.Reader) migrate.Source { return csvSource{im, in} }

type csvSource struct {
	im *importer
	in io.Reader
}

// Read implements migrate.Source. A record ends with its line, so that a malformed one does
// not affect the next. No message contains a line's text: a password may be anywhere in it.
func (c csvSource) Read(ctx context.Context, to migrate.Receiver) error {
	im, r := c.im, bufio.NewReaderSize(c.in, maxRecord)
	if mark, _ := r.Peek(3); string(mark) == "\ufeff" { // the byte order mark that some programs write
		_, _ = r.Discard(3)
	}
	seen := make(map[string]int)
	for number := 1; ctx.Err() == nil; number++ {
		at := fmt.Sprintf("%s:%d", im.name, number)
		text, err := readRecord(r)
		switch {
		case err == io.EOF || err != nil && ctx.Err() != nil:
			return nil
		case err == errRecordLong:
			to.Problem(migrate.Problem{At: at, Text: err.Error(), Whole: true})
			continue
		case err != nil:
			return fmt.Errorf("read %s: %w", im.name, err)
		case text == "":
			continue
		}
		fields, err := splitRecord(text)
		if number == 1 && isHeader(fields, "jid", "password") {
			continue
		}
		if number == 1 && isHeader(fields, "password", "jid") {
			return errSwappedHeader
		}
		a := &migrate.Account{At: at}
		if err == nil {
			a.JID, a.Password, err = im.parseLine(fields)
		}
		if before := seen[a.JID.String()]; err == nil && before != 0 {
			err = fmt.Errorf("the same address is on line %d already", before)
		}
		if err != nil {
			to.Problem(migrate.Problem{At: at, Text: err.Error(), Whole: true})
			continue
		}
		seen[a.JID.String()] = number
		if err := to.Account(a); err != nil {
			return err
		}
	}
	return nil
}

// readRecord reads a line and omits its end. The error is io.EOF at the end of the file,
// and errRecordLong for a line that is too long, which is skipped.
func readRecord(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		for err == bufio.ErrBufferFull {
			_, err = r.ReadSlice('\n')
		}
		if err == nil || err == io.EOF {
			err = errRecordLong
		}
		return "", err
	}
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), err
}

// splitRecord splits a line at its commas. A field may be in double quotes; inside,
// commas are text and a double quote is written twice (RFC 4180 section 2,
// https://www.rfc-editor.org/rfc/rfc4180#section-2).
func splitRecord(text string) (fields []string, err error) {
	for {
		var field string
		if quoted, ok := strings.CutPrefix(text, `"`); ok {
			if field, text, err = cutQuoted(quoted); err != nil {
				return nil, err
			}
		} else {
			end := strings.IndexByte(text, ',')
			if end < 0 {
				end = len(text)
			}
			field, text = text[:end], text[end:]
			if strings.Contains(field, `"`) {
				return nil, errQuoteInside
			}
		}
		fields = append(fields, field)
		if text == "" {
			return fields, nil
		}
		text = text[1:] // the comma
	}
}

// cutQuoted reads a field after its opening quote. The rest begins with a comma or is
// empty.
func cutQuoted(text string) (field, rest string, err error) {
	for {
		before, after, ok := strings.Cut(text, `"`)
		if !ok {
			return "", "", errQuoteOpen
		}
		field += before
		if !strings.HasPrefix(after, `"`) {
			if after != "" && after[0] != ',' {
				return "", "", errQuoteInside
			}
			return field, after, nil
		}
		field, text = field+`"`, after[1:]
	}
}

// isHeader reports whether a record is a header line: the names of the fields, in order.
func isHeader(record []string, names ...string) bool {
	if len(record) != len(names) {
		return false
	}
	for i, name := range names {
		if !strings.EqualFold(strings.TrimSpace(record[i]), name) {
			return false
		}
	}
	return true
}

// parseLine converts a line's fields to an account and its password.
func (im *importer) parseLine(fields []string) (j jid.JID, password string, err error) {
	if len(fields) != 2 {
		return jid.JID{}, "", fmt.Errorf("the line has %s and must have 2: jid,password (a password with a comma or a quote needs quotes)", count(len(fields), "field"))
	}
	j, err = im.account(fields[0])
	if err != nil {
		if _, other := im.account(fields[1]); other == nil {
			err = errSwapped
		}
		return jid.JID{}, "", err
	}
	if len(fields[1]) > store.MaxPassword {
		return jid.JID{}, "", errLongPassword
	}
	return j.Clone(), fields[1], nil
}

// account parses and checks the address of a new account.
func (im *importer) account(field string) (jid.JID, error) {
	j, err := jid.Parse(strings.TrimSpace(field))
	switch {
	case err != nil:
		return jid.JID{}, fmt.Errorf("%w (%w)", errAddress, err)
	case !j.IsAccount():
		return jid.JID{}, errAddress
	case im.allowed != nil:
		return j, im.allowed(j.Domain())
	}
	return j, nil
}
