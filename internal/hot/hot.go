// Package hot merges a new configuration into that of a running program: it replaces the
// fields that may change while the program runs.
//
// Each field of a configuration has a tag that says whether it may change:
//
//	reload:"yes"         it may
//	reload:"yes: NOTE"   it may; NOTE says what a change applies to
//	reload:"no: REASON"  a change needs a restart, for this reason
//	reload:"-"           it is no setting: the program itself fills it in
//
// A field without a tag must be a struct whose fields have tags, so a new setting cannot be
// added without this decision.
package hot

import (
	"fmt"
	"reflect"
	"strings"
)

// Field is a field of a configuration.
type Field struct {
	Path    string // such as Session.Limits.MaxStanza
	Setting bool   // it is a setting; then:
	Hot     bool   // it may change while the program runs
	Note    string // what a change applies to, or why it needs a restart; may be empty

	index []int
}

// Fields returns the fields of a configuration, a struct type, with those of the structs in
// it. It panics if a field has no tag, or one that is wrong.
func Fields(t reflect.Type) []Field { return fields(t, "", nil) }

func fields(t reflect.Type, prefix string, index []int) (all []Field) {
	for i := range t.NumField() {
		f := t.Field(i)
		path, at := prefix+f.Name, append(index[:len(index):len(index)], i)
		tag, ok := f.Tag.Lookup("reload")
		if !ok && f.Type.Kind() == reflect.Struct {
			all = append(all, fields(f.Type, path+".", at)...)
			continue
		}
		kind, note, _ := strings.Cut(tag, ": ")
		field := Field{Path: path, Setting: kind != "-", Hot: kind == "yes", Note: note, index: at}
		if kind != "yes" && kind != "-" && (kind != "no" || note == "") {
			panic(fmt.Sprintf("hot: BUG: %s.%s has the tag reload:%q", t, f.Name, tag))
		}
		all = append(all, field)
	}
	return all
}

// Merge returns running with the values that next has in the fields that may change.
func Merge[T any](running, next T) T {
	merged := reflect.New(reflect.TypeFor[T]()).Elem()
	merged.Set(reflect.ValueOf(running))
	from := reflect.ValueOf(next)
	for _, f := range Fields(merged.Type()) {
		if f.Hot {
			merged.FieldByIndex(f.index).Set(from.FieldByIndex(f.index))
		}
	}
	return merged.Interface().(T)
}
