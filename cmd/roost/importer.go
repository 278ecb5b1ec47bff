package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"roost/admin/api"
	"roost/jid"
	"roost/store"
)

// importBatch is the number of accounts per transaction.
const importBatch = api.MaxAccounts

// maxMistakes is the number of malformed lines in the result as JSON.
const maxMistakes = 100

// producer passes accounts with their passwords to the goroutines that derive keys, until
// the input or ctx ends.
type producer func(ctx context.Context, accounts chan<- passwordRecord) error

// passwordRecord is an account with its password.
type passwordRecord struct {
	line     int // line of the file, for messages
	jid      jid.JID
	password string
}

// importer performs one import. One goroutine produces records, one leaves out accounts that
// exist, one per CPU derives keys, and the caller's goroutine writes accounts.
type importer struct {
	to         accounts
	how        api.AccountImport // without accounts
	iterations int
	allowed    func(domain string) error // rejects domains; nil accepts all

	said              sync.Mutex // protects the fields below, and writing messages
	bar               *progress  // nil: not shown
	name              string     // name of the file, printed before line numbers
	out               io.Writer
	bad               int             // number of malformed lines
	mistakes          []importMistake // the first of them
	created, existing int

	took time.Duration // owned by run
}

// show sets where to report malformed lines, and whether to show the progress there.
func (im *importer) show(name string, lines int, out io.Writer, progress bool) {
	im.name, im.out = name, out
	if progress {
		im.bar = newProgress(out, "importing", "accounts", lines)
	}
}

// refuse reports a malformed line. The message does not contain the line: a password may
// be anywhere in it.
func (im *importer) refuse(number int, err error) {
	im.said.Lock()
	defer im.said.Unlock()
	im.bad++
	if len(im.mistakes) < maxMistakes {
		im.mistakes = append(im.mistakes, importMistake{number, err.Error()})
	}
	im.bar.add(1) // may redraw the progress line
	im.bar.clear()
	fmt.Fprintf(im.out, "%s:%d: %v\n", im.name, number, err)
}

// run imports all records. If ctx ends, it writes the accounts that are ready and stops.
func (im *importer) run(ctx context.Context, produce producer) error {
	start := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	records := make(chan passwordRecord, importBatch)
	fresh := records
	ready := make(chan store.Account, importBatch)
	go func() {
		defer close(records)
		if err := produce(ctx, records); err != nil {
			cancel(err)
		}
	}()
	if !im.how.Update {
		fresh = make(chan passwordRecord)
		go func() {
			defer close(fresh)
			if err := im.sift(ctx, records, fresh); err != nil {
				cancel(err)
			}
		}()
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			yieldCPU()
			for r := range fresh {
				if err := im.derive(ctx, r, ready); err != nil {
					cancel(err)
				}
			}
		})
	}
	go func() {
		workers.Wait()
		close(ready)
	}()
	err := im.write(context.WithoutCancel(ctx), ready, cancel)
	im.took = time.Since(start)
	im.bar.clear()
	return im.outcome(ctx, err)
}

// outcome returns the error with which an import ends.
func (im *importer) outcome(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil && errors.Is(cause, context.Canceled):
		return errors.New("interrupted: run the same command again to import the rest")
	case cause != nil:
		return cause
	case im.bad > 0:
		return fmt.Errorf("%s not imported; correct the file and run the same command again", count(im.bad, "line"))
	}
	return nil
}

// sift passes on the records of accounts that do not exist: deriving keys takes most of the
// time.
func (im *importer) sift(ctx context.Context, in <-chan passwordRecord, out chan<- passwordRecord) error {
	for first := range in {
		batch := gather(first, in)
		all := make([]jid.JID, len(batch))
		for i, r := range batch {
			all[i] = r.jid
		}
		existing, err := im.to.existing(ctx, all)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, r := range batch {
			if !existing[r.jid.String()] {
				out <- r
			}
		}
		im.count(0, len(existing))
	}
	return nil
}

// gather returns first and the records that can be had without waiting, a batch at most.
func gather(first passwordRecord, in <-chan passwordRecord) []passwordRecord {
	batch := []passwordRecord{first}
	for len(batch) < importBatch {
		select {
		case r, ok := <-in:
			if !ok {
				return batch
			}
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// lowPriority is the nice value of threads that derive keys.
const lowPriority = 10

// yieldCPU gives the thread of the calling goroutine, which keeps it, a low priority: a
// server on this machine needs the CPU for logins. The thread ends with the goroutine.
func yieldCPU() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), lowPriority) // if it may not, it is only less polite
}

// derive converts a record to an account.
func (im *importer) derive(ctx context.Context, r passwordRecord, ready chan<- store.Account) error {
	if ctx.Err() != nil {
		return nil
	}
	a := store.Account{JID: r.jid}
	var err error
	a.Credentials, err = store.NewCredentials(r.password, im.iterations)
	if errors.Is(err, store.ErrPassword) {
		im.refuse(r.line, err)
		return nil
	}
	if err != nil {
		return err
	}
	ready <- a
	return nil
}

// write stores accounts as they become ready. If that fails, it stops the other goroutines
// and drains their output.
func (im *importer) write(ctx context.Context, ready <-chan store.Account, cancel context.CancelCauseFunc) (failed error) {
	batch := make([]store.Account, 0, importBatch)
	flush := func() {
		if failed == nil && len(batch) > 0 {
			done, err := im.to.importBatch(ctx, batch, im.how)
			im.count(int(done.Created), int(done.Existing))
			if err != nil {
				failed = err
				cancel(err)
			}
		}
		batch = batch[:0]
	}
	for a := range ready {
		if batch = append(batch, a); len(batch) == importBatch {
			flush()
		}
	}
	flush()
	return failed
}

// count counts accounts that are done.
func (im *importer) count(created, existing int) {
	im.said.Lock()
	defer im.said.Unlock()
	im.created += created
	im.existing += existing
	im.bar.add(created + existing)
}
