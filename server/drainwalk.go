package server

import (
	"context"
	"math/bits"
	"runtime"
	"time"

	"roost/internal/job"
	"roost/session"
)

// leaving makes clients leave in the order in which they were last heard of: those that
// are active go first, and those that have been idle for longest last, so that most of
// them need not notice if the drain is aborted.
//
// No order of sessions is kept. One walk of the table counts sessions by the time since
// their clients were last heard of; each further walk ends those that were heard of since
// a time that the counts give. So the order is that of up to maxWalks groups of about the
// same size, and any within a group.
type leaving struct {
	d        *drains
	pace     *job.Pace
	to, text string
	allowed  int  // sessions that may end before the pace is asked again
	again    bool // those that have been told are told again, if they are still there
}

// maxWalks is the number of groups.
const maxWalks = 16

// told is set when a drain has told a session's client to leave.
var told = session.NewFlag("a drain has told its client to leave")

// keeps reports whether sessions that can be resumed stay, for clients that come back when the
// drain is aborted, or after a restart. With another host, they end: their clients do not come
// back, and their messages must be where they go, in the store.
func (w *leaving) keeps() bool { return w.to == "" }

// left returns the number of clients that have not left yet.
func (d *drains) left(keeps bool) int {
	if keeps {
		return d.s.clients() - d.s.sessions.Detached()
	}
	return d.s.clients()
}

// all makes all clients leave, and reports whether they have before ctx ended.
func (w *leaving) all(ctx context.Context) bool {
	for _, since := range w.groups() {
		if !w.walk(ctx, since) {
			return false
		}
	}
	w.again = true // a session may have been resumed since
	for w.d.left(w.keeps()) > 0 {
		// What is left has bound a resource meanwhile, or has been told and is about to leave.
		if !w.pace.Sleep(ctx) || !w.walk(ctx, time.Time{}) {
			return false
		}
	}
	return true
}

// idleBuckets counts sessions by idle time: four buckets for each doubling of it.
type idleBuckets [4 * 32]int

// bucketOf is the bucket of an idle time in seconds.
func bucketOf(seconds uint64) int {
	if seconds < 4 {
		return int(seconds)
	}
	double := bits.Len64(seconds) - 1
	return min(4*(double-1)+int(seconds>>(double-2))&3, len(idleBuckets{})-1)
}

// bucketEnd is the shortest idle time, in seconds, that is beyond a bucket.
func bucketEnd(bucket int) uint64 {
	if bucket < 4 {
		return uint64(bucket) + 1
	}
	double := bucket/4 + 1
	return uint64(4+bucket%4+1) << (double - 2)
}

// groups returns the times since which the clients of each group were last heard of; the
// last one is the zero time, for all others.
func (w *leaving) groups() (since []time.Time) {
	now := time.Now()
	var counts idleBuckets
	total := 0
	w.d.s.sessions.Each(func(x *session.Session) bool {
		told.Clear(x) // by an earlier drain, after which the client has come back
		counts[bucketOf(uint64(max(0, now.Sub(w.d.lastRead(x))/time.Second)))]++
		if total++; total%yieldEvery == 0 {
			runtime.Gosched()
		}
		return true
	})
	n := 0
	for bucket, count := range counts {
		if n += count; n > 0 && n*maxWalks >= total {
			since = append(since, now.Add(-time.Duration(bucketEnd(bucket))*time.Second))
			n = 0
		}
	}
	return append(since, time.Time{})
}

// yieldEvery is how many sessions a walk looks at before it lets others run.
const yieldEvery = 1000

// walk ends all sessions without a resource, and those whose clients were heard of since a
// time. It returns false when ctx ends.
func (w *leaving) walk(ctx context.Context, since time.Time) bool {
	w.d.s.sessions.EachUnbound(func(x *session.Session) bool { return w.end(ctx, x) })
	seen := 0
	w.d.s.sessions.Each(func(x *session.Session) bool {
		if seen++; seen%yieldEvery == 0 {
			runtime.Gosched()
		}
		return w.d.lastRead(x).Before(since) || w.end(ctx, x)
	})
	return ctx.Err() == nil
}

// end has a client leave when the pace allows it. It returns false when ctx ends.
func (w *leaving) end(ctx context.Context, x *session.Session) bool {
	again := told.Has(x)
	if again && !w.again || w.keeps() && x.Detached() {
		return true
	}
	if w.allowed == 0 {
		if w.allowed = w.pace.Wait(ctx, yieldEvery); w.allowed == 0 {
			return false
		}
	}
	w.allowed--
	told.Set(x)
	if w.keeps() {
		x.Dismiss(w.errorFor(x))
	} else {
		x.Close(w.errorFor(x))
	}
	if !again {
		w.d.ended.Add(1)
	}
	return true
}

// errorFor is the stream error that a client gets. RFC 6120 section 4.9.3.19
// (https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.19): "the receiving entity SHOULD
// NOT close the stream with a <see-other-host/> stream error until after the
// confidentiality and integrity of the stream have been protected via TLS".
func (w *leaving) errorFor(x *session.Session) *session.StreamError {
	e := session.ErrSystemShutdown
	if w.to != "" && x.Conn().Secure() {
		e = session.SeeOtherHost(w.to)
	}
	if w.text != "" {
		e = e.WithText(w.text)
	}
	return e
}

// lastRead returns when the client of a session was last heard of.
func lastRead(x *session.Session) time.Time {
	if c, ok := x.Conn().(interface{ LastRead() time.Time }); ok {
		return c.LastRead()
	}
	return time.Now()
}
