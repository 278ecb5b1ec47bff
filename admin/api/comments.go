package api

import (
	"embed"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// source is this package: its comments are the only description of the types.
//
//go:embed *.go
var source embed.FS

// Comments are what the source of this package says of its types.
type Comments struct {
	Types  map[string]string   // by the name of the type
	Fields map[string]string   // by type and field, such as "Session.JID"
	Values map[string][]string // the constants of a type of strings
}

// ReadComments parses the source of this package.
func ReadComments() Comments {
	c := Comments{make(map[string]string), make(map[string]string), make(map[string][]string)}
	entries, err := source.ReadDir(".")
	if err != nil {
		panic("api: BUG: " + err.Error())
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, err := source.ReadFile(e.Name())
		if err != nil {
			panic("api: BUG: " + err.Error())
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			panic("api: BUG: " + err.Error())
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				c.declaration(g)
			}
		}
	}
	return c
}

func (c *Comments) declaration(g *ast.GenDecl) {
	for _, s := range g.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			doc := s.Doc
			if doc == nil {
				doc = g.Doc
			}
			c.Types[s.Name.Name] = text(doc)
			if t, ok := s.Type.(*ast.StructType); ok {
				c.fields(s.Name.Name, t)
			}
		case *ast.ValueSpec:
			c.value(g.Tok, s)
		}
	}
}

func (c *Comments) fields(name string, t *ast.StructType) {
	for _, f := range t.Fields.List {
		doc := f.Doc
		if doc == nil {
			doc = f.Comment
		}
		for _, n := range f.Names {
			c.Fields[name+"."+n.Name] = text(doc)
		}
	}
}

// value notes a constant of a type of strings.
func (c *Comments) value(tok token.Token, s *ast.ValueSpec) {
	t, named := s.Type.(*ast.Ident)
	if tok != token.CONST || !named || len(s.Values) != 1 {
		return
	}
	if lit, ok := s.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
		if v, err := strconv.Unquote(lit.Value); err == nil {
			c.Values[t.Name] = append(c.Values[t.Name], v)
		}
	}
}

// text is a comment on one line.
func text(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
