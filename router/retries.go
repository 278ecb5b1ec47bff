package router

import (
	"sync"
	"time"

	"roost/session"
)

// retryLater calls f on a worker for writes in deleteRetry, unless the router has stopped.
func (r *Router) retryLater(f func()) {
	time.AfterFunc(deleteRetry, func() {
		if r.ctx.Err() == nil {
			r.sessions.Go(session.Write, func(*session.Turn) { f() })
		}
	})
}

// retries holds work that could not be done because the store failed. One attempt at a time
// finds out whether the store works again, so that most workers stay free for others.
type retries[T any] struct {
	later func(func()) // schedules an attempt
	try   func(T) error

	mu        sync.Mutex
	all       []T
	scheduled bool // an attempt is, or is under way
}

// add adds something that has failed, unless there are limit already.
func (q *retries[T]) add(x T, limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.all) >= limit {
		return false
	}
	q.all = append(q.all, x)
	if !q.scheduled {
		q.scheduled = true
		q.later(q.retry)
	}
	return true
}

// waiting reports whether something waits.
func (q *retries[T]) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.scheduled
}

// retry does the work, one item after the other, until one fails. That item is the last one of
// the next attempt, so that one which fails for another reason does not hold up the others.
func (q *retries[T]) retry() {
	for {
		q.mu.Lock()
		if len(q.all) == 0 {
			q.all, q.scheduled = nil, false
			q.mu.Unlock()
			return
		}
		x := q.all[0]
		q.all = q.all[1:]
		q.mu.Unlock()
		if q.try(x) != nil {
			q.mu.Lock()
			q.all = append(q.all, x)
			q.mu.Unlock()
			q.later(q.retry)
			return
		}
	}
}
