package session

import "time"

// fanoutSeconds is how many seconds' worth of deliveries a client may cause at
// once: one with 5,000 contacts may change its presence a few times in a row.
const fanoutSeconds = 5

// refillEvery is how often a loop looks for clients that may go on.
const refillEvery = 100 * time.Millisecond

// freeCost is what a stanza costs that is delivered once and answered once. It is
// never held against a client: who sends so much pays as much as the server.
const freeCost = costStanza + 2*costDelivery

// fanout is one loop's account of the clients that have caused many deliveries in
// the last seconds: a token bucket for each. A client is in it only while its
// bucket is not full. Owned by the loop.
type fanout struct {
	rate    int64 // cost that is forgiven in a second; 0: no limit
	used    map[*Session]used
	waiting []*Session // their reading is paused
	timer   *time.Timer
	armed   bool
}

// used is what a client has taken out of its bucket.
type used struct {
	cost int64
	at   time.Time
}

// after is what is still taken out at a later time.
func (u used) after(now time.Time, rate int64) used {
	u.cost -= int64(now.Sub(u.at).Seconds() * float64(rate))
	u.at = now
	return u
}

// charge holds a cost against a client. Past what it may cause at once, its
// reading is paused until enough is forgiven. Only the session's loop may call it.
func (s *Session) charge(t *Turn, cost int64) {
	a := &t.fanout
	if a.rate == 0 || cost <= 0 || s.has(flagClosing|flagGone) {
		return
	}
	if a.used == nil {
		a.used = make(map[*Session]used)
	}
	u, ok := a.used[s]
	if ok {
		u = u.after(t.Now(), a.rate)
	}
	u = used{cost: max(u.cost, 0) + cost, at: t.Now()}
	a.used[s] = u
	if u.cost > a.rate*fanoutSeconds && s.set(flagThrottled) {
		s.conn.Pause()
		a.waiting = append(a.waiting, s)
	}
	t.armRefill(s)
}

// armRefill sets the loop's timer, if it does not run.
func (t *Turn) armRefill(s *Session) {
	a := &t.fanout
	if a.armed {
		return
	}
	a.armed = true
	conn := s.conn
	a.timer = time.AfterFunc(refillEvery, func() { conn.Post(t.m.refill) })
}

// refill lets clients go on that have waited long enough, and forgets those whose
// bucket is full again.
func (m *Manager) refill(loop int) {
	t := m.turns[loop]
	a := &t.fanout
	a.armed = false
	var last *Session
	for s, u := range a.used {
		if u.after(t.Now(), a.rate).cost <= 0 || s.has(flagGone) {
			delete(a.used, s)
			continue
		}
		last = s
	}
	waiting := a.waiting[:0]
	for _, s := range a.waiting {
		if a.used[s].after(t.Now(), a.rate).cost > a.rate*fanoutSeconds {
			waiting = append(waiting, s)
			continue
		}
		s.unset(flagThrottled)
		s.resume(t)
	}
	clear(a.waiting[len(waiting):])
	a.waiting = waiting
	if last == nil {
		a.used, a.waiting = nil, nil // a map does not shrink
		return
	}
	t.armRefill(last)
}
