package sqlite

import (
	"context"
	"reflect"
	"testing"

	"roost/store"
)

// TestOpsWrite: an operation that is said to write is one that commits a
// transaction, and no other does.
func TestOpsWrite(t *testing.T) {
	var last store.Op
	s := openTest(t, Config{Options: store.Options{Intercept: func(_ context.Context, op store.Op) (func(), error) {
		last = op
		return func() {}, nil
	}}})
	for m := range reflect.TypeFor[store.Store]().Methods() {
		if m.Name == "Close" || m.Name == "Watch" { // Watch returns when it is told to
			continue
		}
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for i := 1; i < m.Type.NumIn(); i++ {
			args = append(args, reflect.Zero(m.Type.In(i)))
		}
		before := s.Commits()
		reflect.ValueOf(s).MethodByName(m.Name).Call(args) // what comes of it does not matter
		if commits := s.Commits() > before; last.Name != m.Name || last.Writes != commits {
			t.Errorf("%s: %+v, it commits: %v", m.Name, last, commits)
		}
	}
}
