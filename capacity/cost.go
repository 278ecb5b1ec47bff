package capacity

import "time"

// What a session costs. Every figure says where it comes from; whoever changes
// what a session is made of measures again and changes it here.
const (
	// PlainBytes is the user-space memory of an idle session without TLS:
	// authenticated, bound, available, garbage collector included. It is the
	// growth of the server's resident memory between 2,000 and 15,000 sessions,
	// by make bench-peers in several runs: 496 to 526 bytes.
	PlainBytes = 550

	// TLSBytes is the same over TLS 1.3: 714 to 758 bytes.
	TLSBytes = 800

	// StdTLSBytes is the same where crypto/tls keeps the session: the same command
	// with ROOST_TLS_LEAN=false: 9,952 bytes.
	StdTLSBytes = 10500

	// KernelBytes is the kernel's side of an idle connection: its socket, inode,
	// directory entry, file and epoll entry. Measured as the growth of the slab
	// caches over 8,000 connections on Linux 6.18 (TCP 2,360, sock_inode_cache 825,
	// filp 191, dentry 192, eventpoll_epi 128 to 380, security 56, and what their
	// slabs leave unused): 3.9 to 4.2 KB, by go test -bench KernelSocket ./capacity.
	KernelBytes = 4200

	// ConntrackBytes is an entry of the kernel's connection tracking: an object
	// of 256 to 320 bytes (nf_conntrack in /proc/slabinfo) and its share of the
	// hash table.
	ConntrackBytes = 352

	// HandshakeBytes is a TLS handshake under way, with its goroutine. Measured:
	// 26 to 34 KB.
	HandshakeBytes = 34 << 10

	// BaseBytes is the server without clients: program, database caches, roster
	// cache of the default size, collector.
	BaseBytes          = 64 << 20
	defaultRosterCache = 8 << 20

	// AwakeShare: one session in so many has a page of bytes under way in the
	// kernel. Idle sessions have none at all; but all get some at once when the
	// server tells everybody something.
	AwakeShare = 4

	// AccountBytes is an account with ten contacts in the database: 1,074 bytes
	// when they are added one after the other, by go test -bench StoreBytes
	// ./capacity; pages that grow at random are two thirds full, and some have a
	// vcard.
	AccountBytes = 2048

	// OfflineBytes is a short message that waits in the database: 354 bytes,
	// likewise.
	OfflineBytes = 512

	// StoreBase is what the database needs besides: its log (16 MiB, and as much
	// again while it is moved), its reserve (32 MiB), temporary files, room to
	// breathe.
	StoreBase = 128 << 20

	// PlainLogin is the server's CPU time for a login without TLS, SCRAM-SHA-1,
	// up to the initial presence. Measured by make bench-peers: 128 to 176 us,
	// all accounts in the page cache, which a million need not be.
	PlainLogin = 250 * time.Microsecond

	// TLSLogin is the same with a full TLS 1.3 handshake (ECDSA P-256, X25519 with
	// ML-KEM): 422 to 480 us, and more where others keep the cores' second threads
	// busy.
	TLSLogin = 700 * time.Microsecond
)

// What is asked of a machine besides.
const (
	// ServerFiles is how many descriptors a server keeps for what is no client:
	// listeners, database, pollers, log, profiles, certificates that are read again.
	ServerFiles = 256

	// StormTime is the time over which the clients of a server that was restarted
	// come back: they wait a random while, as RFC 6120 section 3.3 tells them to.
	StormTime = time.Minute

	// SlowStorm and LostStorm are how long the logins of all clients may keep all
	// CPUs busy before that is worth a warning, and before it is no service.
	SlowStorm = 2 * time.Minute
	LostStorm = 15 * time.Minute
)

// Memory is a prediction, in bytes.
type Memory struct {
	User    int64 `json:"user_bytes"`               // resident in the server process, when all are idle
	Storm   int64 `json:"storm_bytes"`              // more of that while all log in; given back after it
	Kernel  int64 `json:"kernel_bytes"`             // sockets, and what is on its way in them
	PerUser int64 `json:"user_bytes_per_session"`   // user space, one session
	PerSock int64 `json:"kernel_bytes_per_session"` // kernel, one session
}

// Total is all together.
func (m Memory) Total() int64 { return m.User + m.Storm + m.Kernel }

// Predict is the memory that a plan's sessions need on a machine, with an entry of
// connection tracking for each where that is in use.
func Predict(h Host, p Plan) Memory {
	p = p.withDefaults()
	m := Memory{PerUser: TLSBytes, PerSock: KernelBytes + h.pageSize()/AwakeShare}
	switch {
	case p.Plain:
		m.PerUser = PlainBytes
	case p.StdTLS:
		m.PerUser = StdTLSBytes
	}
	if tracked(h) {
		m.PerSock += ConntrackBytes
	}
	n := int64(p.Sessions)
	m.User, m.Kernel = BaseBytes-defaultRosterCache+p.RosterCache+n*m.PerUser, n*m.PerSock
	m.Storm = handshakes(p) + n*m.garbage(p)
	return m
}

// handshakes is what the TLS handshakes need that are under way at once.
func handshakes(p Plan) int64 {
	if p.Plain {
		return 0
	}
	return int64(p.Handshakes) * HandshakeBytes
}

// garbage is how much of it there may be for each session during a storm, before
// the collector works; none where it has a limit to keep to.
func (m Memory) garbage(p Plan) int64 {
	if p.MemoryLimit > 0 {
		return 0
	}
	return m.PerUser * int64(min(p.GCPercent, maxGCPercent)) / 100
}

// maxGCPercent is where more garbage is no plan: GOGC=off.
const maxGCPercent = 400

// LoginCost is the CPU time of one login.
func (p Plan) LoginCost() time.Duration {
	if p.Plain {
		return PlainLogin
	}
	return TLSLogin
}
