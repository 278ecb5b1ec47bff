package session

// Size is the size in bytes of the presence as it is kept, shared with all sessions that
// sent the same.
func (p *Presence) Size() int { return len(p.xml) }

// conditions are the flags that say what a session is doing, for people.
var conditions = []struct {
	flag uint32
	name string
}{
	{flagBusy, "busy"},           // a worker has the session
	{flagBacklog, "backlog"},     // not read until the client has read
	{flagThrottled, "throttled"}, // not read until its deliveries are forgiven
	{flagSlow, "slow"},           // being closed because its outbox was full
	{flagClosing, "closing"},     // our side of the stream is closed
	{flagDetached, "detached"},   // waits for its client to resume it
}

// Conditions are the names of what the session is doing, none for one that is idle:
// "busy", "backlog", "throttled", "slow", "closing", "detached", and "inactive" if its client
// has indicated that (XEP-0352). Any goroutine may call it.
func (s *Session) Conditions() []string {
	names := []string{}
	for _, c := range conditions {
		if s.has(c.flag) {
			names = append(names, c.name)
		}
	}
	if s.Inactive() {
		names = append(names, "inactive")
	}
	return names
}
