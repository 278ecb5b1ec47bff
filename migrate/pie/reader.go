package pie

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"

	"roost/migrate"
	"roost/parser"
)

// Source is a migrate.Source of a file, and of those that it includes (XInclude). Only files
// in its directory and below are included.
type Source struct {
	Name string                                   // of the file
	Open func(name string) (io.ReadCloser, error) // opens it, or one that it includes
	Now  time.Time                                // the time of messages and requests without one
}

// maxIncludes is how deeply files may include each other: one with all hosts, one for each
// host, one for each user, and one for a part of it.
const maxIncludes = 4

// level is what an element is in.
type level int

// The levels.
const (
	inFile   level = iota // server-data
	inServer              // host
	inHost                // user
	inUser                // a part of an account
)

// names are the elements at each level above inUser.
var names = [...]string{inFile: "server-data", inServer: "host", inHost: "user"}

// Read implements migrate.Source.
func (s Source) Read(ctx context.Context, to migrate.Receiver) error {
	r := &reader{ctx: ctx, from: s, to: to, b: migrate.NewBuilder(to.Problem)}
	return r.file(s.Name, inFile, "", 0)
}

// reader reads the files of a Source.
type reader struct {
	ctx  context.Context
	from Source
	to   migrate.Receiver
	b    *migrate.Builder
	host string
}

// file is a file that is being read.
type file struct {
	*reader
	name     string
	in       *recorder
	dec      *xml.Decoder
	includes int // how many files include it
}

// file reads a file whose root element is at a level.
func (r *reader) file(name string, at level, scope string, includes int) (err error) {
	in, err := r.from.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	f := &file{reader: r, name: name, includes: includes, in: &recorder{in: bufio.NewReaderSize(in, 64<<10)}}
	f.dec = xml.NewDecoder(f.in)
	for seen := false; ; {
		token, err := f.next()
		if err == io.EOF && seen {
			return nil
		}
		if err == io.EOF {
			return f.failed("the file has no element")
		}
		if err != nil {
			return err
		}
		if start, ok := token.(xml.StartElement); ok {
			if at < inUser && (start.Name.Space != nsPie || start.Name.Local != names[at]) {
				return f.failed("the element is <%s xmlns='%s'>, and must be <%s xmlns='%s'>", start.Name.Local, start.Name.Space, names[at], nsPie)
			}
			seen = true
			if err := f.element(start, at, scope); err != nil {
				return err
			}
		}
	}
}

// at returns the present place.
func (f *file) at() string {
	line, _ := f.dec.InputPos()
	return fmt.Sprintf("%s:%d", f.name, line)
}

func (f *file) failed(format string, args ...any) error {
	return fmt.Errorf("%s: %s", f.at(), fmt.Sprintf(format, args...))
}

// next returns the next token. What was recorded before it is forgotten.
func (f *file) next() (xml.Token, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	f.in.forget(f.dec.InputOffset())
	return f.token()
}

// token returns the next token. Document types are refused, as they may declare entities.
func (f *file) token() (xml.Token, error) {
	token, err := f.dec.Token()
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, errLarge):
		return nil, f.failed("an element is larger than %d MiB", migrate.MaxElement>>20)
	case errors.As(err, &syntax):
		return nil, f.failed("not valid XML: %s", syntax.Msg)
	case err != nil && err != io.EOF:
		return nil, f.failed("%v", err)
	}
	if _, ok := token.(xml.Directive); ok {
		return nil, f.failed("document type declarations are not allowed")
	}
	return token, err
}

// element reads an element at a level.
func (f *file) element(start xml.StartElement, at level, scope string) error {
	if start.Name.Space == nsInclude && start.Name.Local == "include" {
		return f.include(start, at, scope)
	}
	if at == inUser {
		return f.part(start, scope)
	}
	if start.Name.Space != nsPie || start.Name.Local != names[at] {
		f.to.Problem(migrate.Problem{At: f.at(), Text: fmt.Sprintf("the element <%s xmlns='%s'> is not imported", start.Name.Local, start.Name.Space)})
		return f.skip()
	}
	scope = withScope(scope, start)
	wanted := true
	switch at {
	case inServer:
		f.host = attr(start, "jid")
	case inHost:
		wanted = f.b.Begin(f.at(), attr(start, "name"), f.host)
		f.b.Password = attr(start, "password")
	}
	if !wanted {
		return f.skip()
	}
	if err := f.children(func(child xml.StartElement) error { return f.element(child, at+1, scope) }); err != nil {
		return err
	}
	if at == inHost && f.b.Secret(f.b.At) {
		return f.to.Account(f.b.Account)
	}
	return nil
}

// children calls f for each child of the element whose start tag was read, until its end.
// It must read the child.
func (f *file) children(each func(xml.StartElement) error) error {
	for {
		token, err := f.next()
		if err == io.EOF {
			err = f.failed("the file ends early")
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if err := each(t); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// skip skips the rest of an element, however large.
func (f *file) skip() error {
	return f.children(func(xml.StartElement) error { return f.skipWhole() })
}

// skipWhole skips the rest of an element. It does not call itself: elements may be nested
// deeply.
func (f *file) skipWhole() error {
	for depth := 1; depth > 0; {
		token, err := f.next()
		if err == io.EOF {
			err = f.failed("the file ends early")
		}
		if err != nil {
			return err
		}
		switch token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return f.failed("elements are nested more than %d deep", maxDepth)
			}
		case xml.EndElement:
			depth--
		}
	}
	return nil
}

// maxDepth is how deeply elements may be nested that are not imported.
const maxDepth = 1000

// raw returns the text of the element whose start tag was just read by next.
func (f *file) raw() ([]byte, error) {
	for depth := 1; depth > 0; {
		token, err := f.token()
		if err == io.EOF {
			err = f.failed("the file ends early")
		}
		if err != nil {
			return nil, err
		}
		switch token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return nil, f.failed("elements are nested more than %d deep", maxDepth)
			}
		case xml.EndElement:
			depth--
		}
	}
	return f.in.until(f.dec.InputOffset()), nil
}

// include reads a file that an element includes.
func (f *file) include(start xml.StartElement, at level, scope string) error {
	href := attr(start, "href")
	u, err := url.Parse(href)
	switch {
	case err != nil || u.Scheme != "" || u.Host != "" || u.Path == "" || u.Path[0] == '/' || attr(start, "parse") != "" || attr(start, "xpointer") != "":
		return f.failed("<include/> must have the relative path of a file as its href, and neither parse nor xpointer")
	case f.includes == maxIncludes:
		return f.failed("more than %d files include each other", maxIncludes)
	}
	name := path.Join(path.Dir(f.name), u.Path)
	if relative, err := filepath.Rel(path.Dir(f.from.Name), name); err != nil || !filepath.IsLocal(relative) {
		return f.failed("the file %s is not included: it is not in the directory of %s, or below it", name, f.from.Name)
	}
	if err := f.file(name, at, scope, f.includes+1); err != nil {
		return err
	}
	return f.skip()
}

// attr returns the value of an attribute without a namespace.
func attr(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// withScope returns the namespaces that are declared in an element and outside it.
func withScope(scope string, start xml.StartElement) string {
	for _, a := range start.Attr {
		name := a.Name.Local
		if a.Name.Space == "xmlns" {
			name = "xmlns:" + name
		} else if a.Name.Space != "" || name != "xmlns" {
			continue
		}
		declared := " " + name + "='"
		if i := strings.Index(scope, declared); i >= 0 { // values have no apostrophe
			end := strings.IndexByte(scope[i+len(declared):], '\'')
			scope = scope[:i] + scope[i+len(declared)+end+1:]
		}
		scope += declared + string(parser.AppendEscaped(nil, a.Value)) + "'"
	}
	return scope
}

// errLarge ends the reading of an element that is too large.
var errLarge = errors.New("too large")

// recorder keeps what was read since the last call of forget.
type recorder struct {
	in    *bufio.Reader
	kept  []byte
	begin int64 // the offset of kept in the file
}

// ReadByte implements io.ByteReader. A Decoder that has it reads no further than it needs.
func (r *recorder) ReadByte() (byte, error) {
	c, err := r.in.ReadByte()
	if err != nil {
		return 0, err
	}
	if len(r.kept) > migrate.MaxElement {
		return 0, errLarge
	}
	r.kept = append(r.kept, c)
	return c, nil
}

// Read implements io.Reader. It is not called.
func (r *recorder) Read([]byte) (int, error) { return 0, errors.New("pie: BUG: Read of a recorder") }

// forget removes what is before an offset.
func (r *recorder) forget(offset int64) {
	n := copy(r.kept, r.kept[min(int(offset-r.begin), len(r.kept)):])
	r.kept, r.begin = r.kept[:n], offset
}

// until returns what was read before an offset. It is valid until the next call of forget.
func (r *recorder) until(offset int64) []byte { return r.kept[:offset-r.begin] }
