package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"roost/store"
)

// testIntercept: every method of a store begins with Options.Intercept, by its own
// name and once, and does nothing where that returns an error. Methods that are new
// are included: those of the interface are called by reflection.
func testIntercept(t *testing.T, l store.Location) {
	stopped := errors.New("stopped")
	var ops []store.Op
	var fault error
	ended := 0
	s := open(t, l, store.Options{Intercept: func(_ context.Context, op store.Op) (func(), error) {
		ops = append(ops, op)
		return func() { ended++ }, fault
	}})
	fault = stopped
	ops, ended = nil, 0
	for m := range reflect.TypeFor[store.Store]().Methods() {
		if m.Name == "Close" {
			continue
		}
		ops = nil
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for i := 1; i < m.Type.NumIn(); i++ {
			args = append(args, reflect.Zero(m.Type.In(i)))
		}
		results := reflect.ValueOf(s).MethodByName(m.Name).Call(args)
		err, _ := results[len(results)-1].Interface().(error)
		wants(t, m.Name, err, stopped)
		if len(ops) != 1 || ops[0].Name != m.Name {
			t.Errorf("%s was intercepted as %+v", m.Name, ops)
		}
	}
	if ended != 0 {
		t.Errorf("%d operations that failed ended", ended)
	}
	fault, ops = nil, nil
	create(t, s, juliet)
	_, err := s.Account(t.Context(), juliet)
	ok(t, "Account", err)
	if len(ops) != 2 || !ops[0].Writes || ops[1].Writes || ended != 2 {
		t.Errorf("%+v, %d ended; want a write and a read that have", ops, ended)
	}
}
