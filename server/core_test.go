package server

import (
	"errors"
	"testing"

	"roost/session"
)

// TestPanicOnWorker: a panic on a worker returns an error to the caller. Otherwise it
// would wait forever, and account events would no longer be processed.
func TestPanicOnWorker(t *testing.T) {
	s := startServer(t, nil)
	err := s.onWorker(t.Context(), func(*session.Turn) error { panic("a fault of the test") })
	if !errors.Is(err, errPanicked) {
		t.Errorf("the error is %v", err)
	}
	want := errors.New("an error")
	if err := s.onWorker(t.Context(), func(*session.Turn) error { return want }); err != want {
		t.Errorf("then the error is %v", err)
	}
}
