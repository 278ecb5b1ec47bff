package session

import (
	"bytes"
	"time"

	"roost/internal/histogram"
	"roost/stanza"
)

// Stats are the counters of a Manager since it was made. Counts, WaitingBytes, PartialBytes
// and Workers are current values.
type Stats struct {
	Counts

	Logins    int64              // sessions bound
	LoginTime histogram.Snapshot // nanoseconds from the accepted connection to the bound resource
	Attempts  []Attempts         // to authenticate
	Delayed   int64              // attempts whose response was delayed because earlier ones had failed
	Ended     []Ended            // sessions that ended

	Received, Sent Stanzas      // from and to clients
	ErrorsSent     []Condition  // stanza errors that the server has sent
	Overflows      int64        // sessions that ended because their outboxes were full
	Throttled      int64        // pauses of sessions whose accounts caused too many deliveries
	WaitingBytes   int64        // memory of stanzas that wait for commits and keys
	PartialBytes   int64        // memory of stanzas that have not arrived completely, without small ones
	Workers        []WorkerPool // by kind of work
	Panics         int64        // recovered panics
	Acks           Acks
	Restored       RestoredCounts
}

// Acks describes stream management (XEP-0198).
type Acks struct {
	Enabled  int64 // sessions that have enabled it
	Timeouts int64 // sessions that ended because their client did not acknowledge stanzas in time
	Resumed  int64 // times that a client has resumed its session
	Refused  int64 // times that a client tried to, and the session no longer existed
	Detached int64 // times that a session lost its connection and waited for its client
	Waiting  int64 // current number of sessions that wait for their clients
	Left     int64 // times that a session has moved to another node
	Arrived  int64 // times that a session has moved here
	HandedOn int64 // stanzas that were not acknowledged when their session ended
	Bytes    int64 // current memory of stanzas that are not acknowledged
}

// Stanzas are numbers of stanzas by their kind.
type Stanzas struct{ Message, Presence, IQ int64 }

// Total returns the number of all kinds.
func (s Stanzas) Total() int64 { return s.Message + s.Presence + s.IQ }

// Attempts is the number of attempts to authenticate by one mechanism with one result.
type Attempts struct {
	Mechanism string // "unknown" if the client's is not offered
	Result    string // "success", "wrong-password", "unknown-account", "refused" (too many failures before) or a SASL error condition
	Count     int64
}

// Succeeded reports whether these are successful ones.
func (a *Attempts) Succeeded() bool { return a.Result == attemptNames[attemptSucceeded] }

// Condition is a number of stanza errors with one condition.
type Condition struct {
	Condition string // RFC 6120 section 8.3.3
	Count     int64
}

// WorkerPool describes the workers for one kind of work.
type WorkerPool struct {
	Work    string // "read", "write" or "derive"
	Busy    int    // workers that have a job
	Limit   int    // maximum number of workers
	Waiting int    // jobs that wait for a worker, or at a Gate
}

// loginBounds are the upper limits of the buckets for LoginTime.
var loginBounds = []time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

var (
	countReceived = NewCounter(stanzaKinds)
	countSent     = NewCounter(stanzaKinds)
	countErrors   = NewCounter(len(stanza.Conditions))
	countEvents   = NewCounter(eventKinds)
)

// stanzaKinds is the number of values of stanza.Kind, with the zero value.
const stanzaKinds = int(stanza.IQ) + 1

// Events that countEvents counts.
const (
	eventOverflow = iota
	eventDelayed
	eventThrottled
	eventAcksEnabled
	eventAckTimeout
	eventHandedOn
	eventDetached
	eventResumed
	eventNotResumed
	eventMovedAway
	eventMovedHere
	eventKinds
)

// Stats returns a snapshot. The numbers may be from slightly different moments.
func (m *Manager) Stats() Stats {
	s := Stats{
		Counts: m.Counts(), Logins: m.Logins(), LoginTime: m.loginTime.Snapshot(), Attempts: m.attempts(), Ended: m.Ended(),
		Received: countReceived.stanzas(m), Sent: countSent.stanzas(m), WaitingBytes: m.offloadedBytes.Load(), PartialBytes: m.partials.bytes(),
		Panics: m.Panics(), Restored: m.RestoredCounts(),
		Overflows: countEvents.Total(m, eventOverflow), Delayed: countEvents.Total(m, eventDelayed), Throttled: countEvents.Total(m, eventThrottled),
	}
	s.Acks = Acks{
		Enabled: countEvents.Total(m, eventAcksEnabled), Timeouts: countEvents.Total(m, eventAckTimeout),
		Resumed: countEvents.Total(m, eventResumed), Refused: countEvents.Total(m, eventNotResumed),
		Detached: countEvents.Total(m, eventDetached), Waiting: m.detached.count.Load(),
		Left: countEvents.Total(m, eventMovedAway), Arrived: countEvents.Total(m, eventMovedHere),
		HandedOn: countEvents.Total(m, eventHandedOn), Bytes: m.unackedBytes.Load(),
	}
	for i, condition := range stanza.Conditions {
		if n := countErrors.Total(m, i); n > 0 {
			s.ErrorsSent = append(s.ErrorsSent, Condition{condition, n})
		}
	}
	for _, w := range m.pools() {
		s.Workers = append(s.Workers, w.stats())
	}
	s.Workers[len(s.Workers)-1].Waiting += m.keyQueue.left()
	return s
}

// pools are the workers for each kind of work.
func (m *Manager) pools() [3]*workers { return [...]*workers{m.reads, m.writes, m.keys} }

func (c Counter) stanzas(m *Manager) Stanzas {
	return Stanzas{c.Total(m, int(stanza.Message)), c.Total(m, int(stanza.Presence)), c.Total(m, int(stanza.IQ))}
}

// CountError counts a stanza error that is sent to a client or another server.
func (t *Turn) CountError(e *stanza.ErrorReply) {
	countErrors.Add(t, stanza.ConditionIndex(e.Condition), 1)
}

// countSentUnit counts a unit of the stream if it is a stanza. It looks only at the name
// of the element, because this server has written what is queued.
func (t *Turn) countSentUnit(b []byte) {
	switch {
	case bytes.HasPrefix(b, []byte("<message")):
		countSent.Add(t, int(stanza.Message), 1)
	case bytes.HasPrefix(b, []byte("<presence")):
		countSent.Add(t, int(stanza.Presence), 1)
	case bytes.HasPrefix(b, []byte("<iq")):
		countSent.Add(t, int(stanza.IQ), 1)
	}
}
