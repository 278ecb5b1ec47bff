package cluster

import (
	"cmp"
	"context"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"roost/router"
)

// accountPrefix begins the key of an account: a hash with an entry for each resource. The domain
// comes next, and then @ and the localpart: the server keeps the keys that nodes have read in a
// tree in which keys share what they begin with.
const accountPrefix = "roost:a:"

func accountKey(account string) string {
	local, domain, ok := strings.Cut(account, "@")
	if !ok {
		return accountPrefix + account
	}
	return accountPrefix + domain + "@" + local
}

// accountOf is the reverse of accountKey.
func accountOf(key string) string {
	account := strings.TrimPrefix(key, accountPrefix)
	domain, local, ok := strings.Cut(account, "@")
	if !ok {
		return account
	}
	return local + "@" + domain
}

// An entry is a string of 8 bytes: flags, priority, and the epoch of its node in 6 bytes.
const (
	entrySize     = 8
	flagAvailable = 1      // also known to the scripts
	levelShift    = 1      // the other bits of the flags are the level of the index
	maxLevel      = 1 << 6 // limit, not included
)

func epochBytes(epoch uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], epoch)
	return string(b[2:])
}

// entry reads an entry.
func entry(resource, text string) (place router.Place, level int, ok bool) {
	if len(text) != entrySize {
		return place, 0, false
	}
	var b [8]byte
	copy(b[2:], text[2:])
	return router.Place{
		Resource:  resource,
		Node:      router.NodeID(binary.BigEndian.Uint64(b[:])),
		Available: text[0]&flagAvailable != 0,
		Priority:  int8(text[1]),
	}, int(text[0] >> levelShift), true
}

// Register implements router.Nodes.
func (n *Node) Register(ctx context.Context, account, resource string, r router.Registration) (router.Registered, error) {
	if !n.usable() || n.full.Load() {
		n.missing()
		return router.Registered{}, router.ErrNoDirectory
	}
	var ignored map[uint64]bool // nodes that are dead
	var died router.Place       // before it was ignored
	for {
		level := n.entryLevel(ctx)
		o := &op{kind: opRegister, account: account, resource: resource, registration: r, level: level, ignored: ignored, done: make(chan struct{})}
		if !n.writes.add(o) {
			n.missing()
			return router.Registered{}, router.ErrNoDirectory
		}
		select {
		case <-o.done:
		case <-ctx.Done():
			n.Unregister(account, resource) // it may be executed yet
			return router.Registered{}, ctx.Err()
		}
		if o.err != nil {
			n.missing()
			return router.Registered{}, o.err
		}
		reg, blockers := n.registered(o)
		died = cmp.Or(reg.Died, died)
		if (reg.Taken || reg.Full) && len(blockers) > len(ignored) {
			ignored = blockers
			continue
		}
		reg.Died = died
		return reg, nil
	}
}

// missing notes that a resource may not be in the directory.
func (n *Node) missing() { n.lose(router.LostEntries) }

// registered reads the reply of the script, and returns also which dead nodes have entries.
func (n *Node) registered(o *op) (reg router.Registered, dead map[uint64]bool) {
	m := n.members.Load()
	alive := func(p router.Place) bool {
		if !m.isDead(uint64(p.Node)) {
			return true
		}
		if dead == nil {
			dead = make(map[uint64]bool)
		}
		dead[uint64(p.Node)] = true
		return false
	}
	own := n.Self()
	reg.Taken, reg.Full = o.reply[0] == "taken", o.reply[0] == "full"
	before, level, ok := entry(o.resource, o.reply[1])
	switch {
	case !ok:
	case before.Node == own:
		reg.Known = true
		if level != o.level && !reg.Full {
			n.writes.addRemoval(&op{kind: opUnindex, account: o.account, resource: o.resource, level: level})
		}
	case !alive(before):
		reg.Died = before
	case !reg.Taken && !reg.Full:
		reg.Replaced = before
	}
	for i := 2; i+1 < len(o.reply); i += 2 {
		if p, _, ok := entry(o.reply[i], o.reply[i+1]); ok && alive(p) {
			reg.Places = append(reg.Places, p)
		}
	}
	if reg.Taken || reg.Full {
		reg.Places = nil
		if before.Node != own {
			n.writes.addRemoval(&op{kind: opUnindex, account: o.account, resource: o.resource, level: o.level})
		}
	}
	return reg, dead
}

// Update implements router.Nodes.
func (n *Node) Update(account, resource string, available bool, priority int8) {
	if !n.writes.add(&op{kind: opUpdate, account: account, resource: resource, available: available, priority: priority}) {
		n.missing()
	}
}

// Unregister implements router.Nodes.
func (n *Node) Unregister(account, resource string) {
	if !n.writes.add(&op{kind: opUnregister, account: account, resource: resource}) {
		n.missing()
	}
}

// commands appends the commands of an operation.
func (o *op) commands(cmds []rueidis.Completed, c rueidis.Client, epoch uint64) []rueidis.Completed {
	key := []string{accountKey(o.account)}
	switch o.kind {
	case opRegister:
		r, replace := o.registration, "0"
		switch {
		case r.Replace:
			replace = "1"
		case r.From != 0:
			replace = epochBytes(uint64(r.From))
		}
		dead := ""
		for e := range o.ignored {
			dead += epochBytes(e)
		}
		// First the index: an entry that is not in the index would remain after this node's
		// death.
		return append(cmds, indexAdd(c, epoch, o),
			registerScript.call(c, key, []string{epochBytes(epoch), o.resource, string([]byte{byte(o.level << levelShift), 0}), replace,
				strconv.Itoa(r.MaxResources), strconv.Itoa(r.Here), dead}))
	case opUpdate:
		available := "0"
		if o.available {
			available = "1"
		}
		return append(cmds, updateScript.call(c, key, []string{epochBytes(epoch), o.resource, available, string([]byte{byte(o.priority)})}))
	case opUnregister:
		return append(cmds, unregisterScript.call(c, key, []string{epochBytes(epoch), o.resource}))
	case opForget:
		for level := range o.level + 1 {
			cmds = append(cmds, indexRemove(c, epoch, o, level))
		}
		return cmds
	default:
		return append(cmds, indexRemove(c, epoch, o, o.level))
	}
}

// result takes over the replies to an operation's commands. It returns an operation that
// follows, if one does.
func (n *Node) result(o *op, replies []rueidis.RedisResult) (next *op, err error) {
	changed := n.countFields(o, replies)
	for _, r := range replies {
		if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
			if o.kind == opRegister && noMemory(err) {
				n.full.Store(true)
			}
			return nil, err
		}
	}
	switch o.kind {
	case opRegister:
		if o.reply, err = replies[1].AsStrSlice(); err != nil {
			return nil, err
		}
		if before, _, ok := entry(o.resource, o.reply[1]); o.reply[0] == "ok" && (!ok || before.Node != n.Self()) {
			n.stats.registrations.Add(1)
		}
	case opUnregister:
		text, none := replies[0].ToString()
		if _, level, ok := entry(o.resource, text); none == nil && ok {
			n.stats.unregistrations.Add(1)
			next = &op{kind: opUnindex, account: o.account, resource: o.resource, level: level}
		} else { // another node has taken the entry, or there was none
			next = &op{kind: opForget, account: o.account, resource: o.resource, level: int(n.level.Load())}
		}
	case opForget:
		if changed > 0 {
			n.stats.unregistrations.Add(1)
		}
	}
	return next, err
}
