package main

import (
	"cmp"
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
	"roost/migrate"
	"roost/store"
)

// importBatch is the number of accounts per transaction.
const importBatch = api.MaxAccounts

// importBytes limits the size of the accounts that are in memory. A transaction is written
// when it has half of it. An account counts as half of it at most: so when one has to wait,
// the others have more than half, and will be written.
const importBytes = 2 * migrate.MaxAccount

// maxProblems is the number of problems in the result as JSON.
const maxProblems = 100

// importTarget is where accounts are imported into.
type importTarget interface {
	// existing returns the addresses of those that exist, of at most importBatch.
	existing(context.Context, []jid.JID) (map[string]bool, error)
	// importBatch imports at most importBatch accounts, all or none. how has no accounts.
	importBatch(ctx context.Context, batch []store.AccountData, how api.AccountImport) (api.AccountsImported, error)
}

// importer performs one import. One goroutine reads the source, one leaves out accounts with
// passwords that exist, one per CPU derives keys, and the caller's goroutine writes accounts.
type importer struct {
	to         importTarget
	how        api.AccountImport         // without accounts
	iterations int                       // 0: keys are not derived, but passwords are checked
	allowed    func(domain string) error // rejects domains; nil accepts all
	unit       string                    // of what is refused: "line" if empty
	moved      bool                      // the passwords are those of accounts elsewhere, not new ones

	held        budget             // the size of the accounts in memory
	invitations []store.Invitation // of the source, until its accounts are imported

	said              sync.Mutex // protects the fields below, and writing messages
	bar               *progress  // nil: not shown
	name              string     // name of the source, printed before line numbers
	out               io.Writer
	bad               int               // number of accounts that were refused
	lost              int               // number of other problems
	problems          []migrate.Problem // the first of them
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

// problem reports something that is not imported. The message contains no text of the source
// that may be a password.
func (im *importer) problem(p migrate.Problem) {
	im.said.Lock()
	defer im.said.Unlock()
	if len(im.problems) < maxProblems {
		im.problems = append(im.problems, p)
	}
	if p.Whole {
		im.bad++
		im.bar.add(1) // may redraw the progress line
	} else {
		im.lost++
	}
	im.bar.clear()
	fmt.Fprintln(im.out, p)
}

// run imports all accounts of a source. If ctx ends, it writes those that are ready and
// stops.
func (im *importer) run(ctx context.Context, from migrate.Source) error {
	start := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	im.held.limit = importBytes
	records := make(chan *migrate.Account, importBatch)
	fresh := records
	ready := make(chan *migrate.Account, importBatch)
	var unread error // why the rest of the source was not read; what was read is imported
	go func() {
		defer close(records)
		to := migrate.Receiver{Problem: im.problem, Account: func(a *migrate.Account) error { return im.receive(ctx, a, records) }, Invitation: im.keepInvitation}
		unread = from.Read(ctx, to)
	}()
	if !im.how.Update {
		fresh = make(chan *migrate.Account)
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
			for a := range fresh {
				if err := im.derive(ctx, a, ready); err != nil {
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
	if err == nil && unread == nil && ctx.Err() == nil {
		err = im.invite(ctx)
	}
	im.took = time.Since(start)
	im.bar.clear()
	return im.outcome(ctx, err, unread)
}

// receive passes on an account from the source.
func (im *importer) receive(ctx context.Context, a *migrate.Account, records chan<- *migrate.Account) error {
	if im.allowed != nil {
		if err := im.allowed(a.JID.Domain()); err != nil {
			im.problem(migrate.Problem{At: a.At, Account: a.JID.String(), Text: err.Error(), Whole: true})
			return nil
		}
	}
	if err := im.held.acquire(ctx, weight(a)); err != nil {
		return err
	}
	select {
	case records <- a:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// weight returns what an account counts as in the budget.
func weight(a *migrate.Account) int { return min(a.Size(), importBytes/2) }

// budget limits the bytes that are held at once. One goroutine acquires, any may release.
type budget struct {
	limit int

	mu   sync.Mutex
	used int
	less chan struct{} // made by acquire when it waits; closed by release
}

// acquire waits until n bytes, the limit at most, are free, or until ctx ends.
func (b *budget) acquire(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		if b.used+n <= b.limit {
			b.used += n
			b.mu.Unlock()
			return nil
		}
		less := make(chan struct{})
		b.less = less
		b.mu.Unlock()
		select {
		case <-less:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *budget) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.less != nil {
		close(b.less)
		b.less = nil
	}
}

// outcome returns the error with which an import ends. unread is why the source was not read
// to its end.
func (im *importer) outcome(ctx context.Context, err, unread error) error {
	cause := context.Cause(ctx)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil && errors.Is(cause, context.Canceled):
		return errors.New("interrupted: run the same command again to import the rest")
	case cause != nil:
		return cause
	case unread != nil:
		return unread
	case im.bad > 0:
		return fmt.Errorf("%s not imported; correct the source and run the same command again", count(im.bad, cmp.Or(im.unit, "line")))
	}
	return nil
}

// needsKeys reports whether keys have to be derived from the account's password.
func needsKeys(a *migrate.Account) bool { return a.Credentials.Hashes() == 0 }

// sift passes on accounts with keys, and those with passwords that do not exist: deriving
// keys takes most of the time.
func (im *importer) sift(ctx context.Context, in <-chan *migrate.Account, out chan<- *migrate.Account) error {
	for first := range in {
		batch := gather(first, in)
		var ask []jid.JID
		for _, a := range batch {
			if needsKeys(a) {
				ask = append(ask, a.JID)
			}
		}
		var existing map[string]bool
		if len(ask) > 0 {
			var err error
			existing, err = im.to.existing(ctx, ask)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
		}
		skipped := 0
		for _, a := range batch {
			if existing[a.JID.String()] {
				skipped++
				im.held.release(weight(a))
				continue
			}
			out <- a
		}
		im.count(0, skipped)
	}
	return nil
}

// gather returns first and the accounts that can be had without waiting, a batch at most.
func gather(first *migrate.Account, in <-chan *migrate.Account) []*migrate.Account {
	batch := []*migrate.Account{first}
	for len(batch) < importBatch {
		select {
		case a, ok := <-in:
			if !ok {
				return batch
			}
			batch = append(batch, a)
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

// keys derives the keys of a password. If keys are not derived, it checks the password only.
func (im *importer) keys(password string) (store.Credentials, error) {
	if !im.moved {
		if err := store.CheckPassword(password); err != nil {
			return store.Credentials{}, err
		}
	}
	if im.iterations == 0 {
		_, err := store.DeriveKeys(store.SHA1, password, make([]byte, store.SaltSize), 1)
		return store.Credentials{}, err
	}
	return store.MovedCredentials(password, im.iterations)
}

// derive derives the keys of an account that has a password.
func (im *importer) derive(ctx context.Context, a *migrate.Account, ready chan<- *migrate.Account) error {
	if ctx.Err() != nil {
		return nil
	}
	if needsKeys(a) {
		var err error
		a.Credentials, err = im.keys(a.Password)
		var bad store.PasswordError
		if errors.As(err, &bad) {
			im.problem(migrate.Problem{At: a.At, Account: a.JID.String(), Text: err.Error(), Whole: true})
			im.held.release(weight(a))
			return nil
		}
		if err != nil {
			return err
		}
	}
	ready <- a
	return nil
}

// write stores accounts as they become ready. If that fails, it stops the other goroutines
// and drains their output.
func (im *importer) write(ctx context.Context, ready <-chan *migrate.Account, cancel context.CancelCauseFunc) (failed error) {
	batch, size := make([]store.AccountData, 0, importBatch), 0
	flush := func() {
		if failed == nil && len(batch) > 0 {
			done, err := im.to.importBatch(ctx, batch, im.how)
			im.count(int(done.Created), int(done.Existing))
			if err != nil {
				failed = err
				cancel(err)
			}
		}
		clear(batch)
		im.held.release(size)
		batch, size = batch[:0], 0
	}
	for a := range ready {
		size += weight(a)
		batch = append(batch, a.AccountData)
		if len(batch) == importBatch || size >= importBytes/2 {
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
