package store

import "context"

// Options are what every kind of store is opened with.
type Options struct {
	// Intercept is called before each operation. Nil: nothing is.
	Intercept Intercept
}

// Intercept is called on the goroutine of an operation's caller, before the
// operation. It may wait. If it returns an error, the operation is not done and
// returns that error; else done is called when the operation has returned.
type Intercept func(ctx context.Context, op Op) (done func(), err error)

// Op is a call of a method of Store. Close is none.
type Op struct {
	Name   string // of the method
	Writes bool   // it waits for a commit
}

func nothing() {}

// Begin calls Intercept for a store that does an operation, if there is one. done
// is never nil where err is.
func (o *Options) Begin(ctx context.Context, op Op) (done func(), err error) {
	if o.Intercept == nil {
		return nothing, nil
	}
	return o.Intercept(ctx, op)
}
