package store

import "context"

// Options are the options with which every kind of store is opened.
type Options struct {
	// Intercept is called before each operation. It may be nil.
	Intercept Intercept

	// Use says who else may use the store at the same time. A store in a local file does
	// not check it: package server locks files.
	Use Use
}

// Use is what a store is opened for.
type Use uint8

// The uses. A server without a cluster would not know of the clients of another one, and
// would act upon account events in its place.
const (
	Beside  Use = iota // a command that runs beside servers
	Alone              // a server beside which there must be no other one
	Shared             // a server that shares the store with the other nodes of its cluster
	Copying            // a copy of the whole store, beside which there must be no server
)

// Intercept is called on the goroutine of an operation's caller, before the operation. It
// may wait. If it returns an error, the operation does nothing and returns that error
// unchanged. Otherwise done is called when the operation has returned.
type Intercept func(ctx context.Context, op Op) (done func(), err error)

// Op is a call of a method of Store other than Close.
type Op struct {
	Name   string // of the method
	Writes bool   // the operation waits for a commit
}

func noop() {}

// Begin is called by a store before it executes an operation. It calls Intercept if that
// is set. done is not nil unless err is not nil.
func (o *Options) Begin(ctx context.Context, op Op) (done func(), err error) {
	if o.Intercept == nil {
		return noop, nil
	}
	return o.Intercept(ctx, op)
}
