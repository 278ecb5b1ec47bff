package hot

import (
	"fmt"
	"reflect"
	"testing"
)

type inner struct {
	Size int `reload:"yes"`
	Loop int `reload:"no: it is started once"`
}

type config struct {
	Name  string   `reload:"yes: new connections"`
	List  []string `reload:"yes"`
	Inner inner
	Func  func() `reload:"-"`
}

func TestFields(t *testing.T) {
	var got []string
	for _, f := range Fields(reflect.TypeFor[config]()) {
		got = append(got, fmt.Sprintf("%s %v %v %q", f.Path, f.Setting, f.Hot, f.Note))
	}
	want := []string{`Name true true "new connections"`, `List true true ""`, `Inner.Size true true ""`, `Inner.Loop true false "it is started once"`, `Func false false ""`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestMissingTag: a field that nobody has decided about is found at once.
func TestMissingTag(t *testing.T) {
	f := func(c any) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%T is accepted", c)
			}
		}()
		Fields(reflect.TypeOf(c))
	}
	f(struct{ A int }{})
	f(struct {
		A int `reload:"maybe"`
	}{})
	f(struct {
		A int `reload:"no"` // without a reason
	}{})
	f(struct{ In struct{ A int } }{})
}

func TestMerge(t *testing.T) {
	running := config{Name: "a", Inner: inner{1, 2}, Func: func() {}}
	m := Merge(running, config{Name: "b", List: []string{"x"}, Inner: inner{10, 20}})
	if m.Name != "b" || len(m.List) != 1 || m.Inner != (inner{10, 2}) || m.Func == nil {
		t.Errorf("merged: %+v", m)
	}
	if running.Name != "a" || running.Inner.Size != 1 {
		t.Error("the running configuration was changed")
	}
}
