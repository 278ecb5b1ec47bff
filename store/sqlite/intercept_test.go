package sqlite

import (
	"context"
	"reflect"
	"testing"

	"roost/store"
)

// TestOpsWrite: an operation is intercepted as a write if and only if it commits a
// transaction.
func TestOpsWrite(t *testing.T) {
	var last store.Op
	s := openTest(t, Config{Options: store.Options{Intercept: func(_ context.Context, op store.Op) (func(), error) {
		last = op
		return func() {}, nil
	}}})
	for m := range reflect.TypeFor[store.Store]().Methods() {
		if m.Name == "Close" || m.Name == "Watch" { // Watch does not return by itself
			continue
		}
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for i := 1; i < m.Type.NumIn(); i++ {
			args = append(args, zero(m.Type.In(i)))
		}
		before := s.Commits()
		reflect.ValueOf(s).MethodByName(m.Name).Call(args) // the results do not matter
		if commits := s.Commits() > before; last.Name != m.Name || last.Writes != commits {
			t.Errorf("%s: intercepted as %+v, commits: %v", m.Name, last, commits)
		}
	}
}

// zero returns the zero value of a type, or a function that returns zero values.
func zero(t reflect.Type) reflect.Value {
	if t.Kind() != reflect.Func {
		return reflect.Zero(t)
	}
	return reflect.MakeFunc(t, func([]reflect.Value) (results []reflect.Value) {
		for out := range t.Outs() {
			results = append(results, reflect.Zero(out))
		}
		return results
	})
}
