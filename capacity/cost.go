package capacity

import "time"

// What a session costs. Every figure names its source. After a change to the memory of a
// session, measure again and update the figure.
const (
	// PlainBytes is the user-space memory of an idle session without TLS:
	// authenticated, bound, available, garbage collector included. It is the
	// growth of the server's resident memory between 2,000 and 15,000 sessions,
	// by make bench-peers in several runs: 496 to 526 bytes.
	PlainBytes = 550

	// TLSBytes is the same with TLS 1.3: 714 to 758 bytes.
	TLSBytes = 800

	// StdTLSBytes is the same if crypto/tls keeps the session: the same command with
	// ROOST_TLS_LEAN=false: 9,952 bytes.
	StdTLSBytes = 10500

	// KernelBytes is the kernel memory of an idle connection: its socket, inode,
	// directory entry, file and epoll entry. Measured as the growth of the slab caches
	// over 8,000 connections on Linux 6.18 (TCP 2,360, sock_inode_cache 825, filp 191,
	// dentry 192, eventpoll_epi 128 to 380, security 56, and the unused part of their
	// slabs): 3.9 to 4.2 KB, by go test -bench KernelSocket ./capacity.
	KernelBytes = 4200

	// ConntrackBytes is an entry of the kernel's connection tracking: an object of 256 to
	// 320 bytes (nf_conntrack in /proc/slabinfo) and its share of the hash table.
	ConntrackBytes = 352

	// HandshakeBytes is the memory of a TLS handshake in progress, with its goroutine.
	// Measured: 26 to 34 KB.
	HandshakeBytes = 34 << 10

	// BaseBytes is the memory of the server without clients: program, database caches,
	// roster cache of the default size, garbage collector.
	BaseBytes          = 64 << 20
	defaultRosterCache = 8 << 20

	// AwakeShare: one in this many sessions has a page of data in kernel buffers. Idle
	// sessions have none, but all of them get data at the same time when the server
	// notifies every client.
	AwakeShare = 4

	// AccountBytes is the database space of an account with ten contacts: 1,074 bytes
	// when they are added one after the other, by go test -bench StoreBytes ./capacity.
	// Pages that grow in random order are two thirds full, and some accounts have a
	// vCard.
	AccountBytes = 2048

	// OfflineBytes is the database space of a short offline message: 354 bytes, by the
	// same command.
	OfflineBytes = 512

	// StoreBase is what the database needs in addition: its write-ahead log (16 MiB, and
	// as much again during a checkpoint), its reserve (32 MiB), temporary files, and a
	// margin.
	StoreBase = 128 << 20

	// PlainLogin is the server's CPU time for a login without TLS, by SCRAM-SHA-1, up to
	// the initial presence. Measured by make bench-peers: 128 to 176 µs, with all
	// accounts in the page cache; with a million accounts, they may not be.
	PlainLogin = 250 * time.Microsecond

	// TLSLogin is the same with a full TLS 1.3 handshake (ECDSA P-256, X25519 with
	// ML-KEM): 422 to 480 µs, and more if other programs use the sibling threads of the
	// cores.
	TLSLogin = 700 * time.Microsecond
)

// Further requirements of a machine.
const (
	// ServerFiles is the number of descriptors that a server needs apart from clients:
	// listeners, database, pollers, log, profiles, certificates being reloaded.
	ServerFiles = 256

	// StormTime is the time over which clients reconnect after a restart of the server:
	// they wait for a random time, as RFC 6120 section 3.3 requires
	// (https://www.rfc-editor.org/rfc/rfc6120#section-3.3).
	StormTime = time.Minute

	// SlowStorm and LostStorm limit the time for which the logins of all clients may keep
	// all CPUs busy: above SlowStorm is a warning, above LostStorm a failure.
	SlowStorm = 2 * time.Minute
	LostStorm = 15 * time.Minute
)

// Memory is a prediction, in bytes.
type Memory struct {
	User    int64 `json:"user_bytes"`               // resident in the server process with all sessions idle
	Storm   int64 `json:"storm_bytes"`              // additional, while all clients log in; released afterwards
	Kernel  int64 `json:"kernel_bytes"`             // sockets and the data in their buffers
	PerUser int64 `json:"user_bytes_per_session"`   // user space, per session
	PerSock int64 `json:"kernel_bytes_per_session"` // kernel, per session
}

// Total returns the sum of all parts.
func (m Memory) Total() int64 { return m.User + m.Storm + m.Kernel }

// Predict returns the memory that the sessions of a plan need on a machine, including
// their entries in connection tracking if that is in use.
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

// handshakes returns the memory of the TLS handshakes in progress.
func handshakes(p Plan) int64 {
	if p.Plain {
		return 0
	}
	return int64(p.Handshakes) * HandshakeBytes
}

// garbage returns the garbage per session that may accumulate during a storm before the
// collector runs; 0 if the collector has a memory limit.
func (m Memory) garbage(p Plan) int64 {
	if p.MemoryLimit > 0 {
		return 0
	}
	return m.PerUser * int64(min(p.GCPercent, maxGCPercent)) / 100
}

// maxGCPercent limits the percentage that a prediction uses: GOGC=off is no plan.
const maxGCPercent = 400

// LoginCost returns the CPU time of one login.
func (p Plan) LoginCost() time.Duration {
	if p.Plain {
		return PlainLogin
	}
	return TLSLogin
}
