package capacity

import (
	"fmt"
	"time"
)

// network checks the kernel's memory for TCP and the queues of a listener.
func network(h Host, p Plan) []Check {
	all := []Check{
		tcpMem(h, p),
		tcpBuffer(h, "tcp-rmem", "net.ipv4.tcp_rmem", maxReceive, "4096 16384 262144"),
		tcpBuffer(h, "tcp-wmem", "net.ipv4.tcp_wmem", maxSend, "4096 16384 262144"),
		somaxconn(h, p), synBacklog(h, p),
	}
	if p.Loopback {
		all = append(all, portRange(h, p))
	}
	return all
}

// tcpMem checks the limits on the memory of all TCP sockets together, in pages. Idle
// sockets need none. In the worst case each session has a page in its buffers. Above the
// pressure mark, the kernel restricts sockets; above the maximum, connections break.
func tcpMem(h Host, p Plan) Check {
	n := int64(p.Sessions)
	c := Check{Name: "tcp-mem", Area: "network", Title: "net.ipv4.tcp_mem, pages", Needs: number(n)}
	v, err := h.numbers(key("net.ipv4.tcp_mem"), 3)
	if err != nil {
		return unknown(c, err)
	}
	pressure, most := v[1], v[2]
	c.Found = number(most)
	c.allow(satMul(most, AwakeShare))
	switch {
	case most < n/AwakeShare:
		c.Status = Fail
		c.Detail = []string{fmt.Sprintf("%s; one page for a quarter of the sessions needs more", size(satMul(most, h.pageSize())))}
	case most < n:
		c.Status = Warn
		c.Detail = []string{"enough for idle sessions, but not if the server sends to all of them at once"}
	case pressure < n:
		c.Detail = []string{fmt.Sprintf("above %s pages the kernel shrinks the buffers of sockets", number(pressure))}
	}
	if c.Status != OK {
		c.Fix = []string{sysctl("net.ipv4.tcp_mem", fmt.Sprintf("%d %d %d", roundUp(n, 4096)*3/4, roundUp(n, 4096), roundUp(n, 4096)*2))}
	}
	return c
}

// satMul multiplies and returns the largest int64 on overflow.
func satMul(a, b int64) int64 {
	if a > 1<<62/b {
		return 1 << 62
	}
	return a * b
}

// The largest sensible minimum and default sizes of socket buffers, in bytes. The kernel
// grants the minimum even when TCP is short of memory. One client can make the kernel
// allocate the default before any autotuning.
const (
	maxMinimum = 16 << 10
	maxReceive = 128 << 10 // the kernel's default: 131072
	maxSend    = 64 << 10  // the kernel's default: 16384
)

func tcpBuffer(h Host, name, sysctlName string, most int64, better string) Check {
	c := Check{Name: name, Area: "network", Title: sysctlName + ", min/def", Needs: fmt.Sprintf("<= %d / %d", maxMinimum, most)}
	v, err := h.numbers(key(sysctlName), 3)
	if err != nil {
		return unknown(c, err)
	}
	c.Found = fmt.Sprintf("%d / %d", v[0], v[1])
	if v[0] > maxMinimum || v[1] > most {
		c.Status = Warn
		c.Detail = []string{"sized for a few fast connections: many slow clients would use too much memory"}
		c.Fix = []string{sysctl(sysctlName, better)}
	}
	return c
}

// queue returns how many connections may arrive during one second in which an event loop
// is busy, when all clients reconnect within StormTime.
func queue(p Plan) int64 {
	return min(max(128, int64(p.Sessions)/int64(StormTime/time.Second)), 65535)
}

// somaxconn checks the listen queue. If it is full, the client's kernel retries after a
// second: a delay, not a loss.
func somaxconn(h Host, p Plan) Check {
	need := queue(p)
	c := Check{Name: "somaxconn", Area: "network", Title: "net.core.somaxconn", Needs: number(need)}
	v, err := h.number(key("net.core.somaxconn"))
	if err != nil {
		return unknown(c, err)
	}
	c.Found = number(v)
	if v < need {
		c.Status = Warn
		c.Detail = []string{"when all clients reconnect at once, some must retry after a second"}
		c.Fix = []string{sysctl("net.core.somaxconn", powerOfTwo(need))}
	}
	return c
}

// powerOfTwo returns the next power of two below 65,536: many interfaces limit a backlog
// to 16 bits.
func powerOfTwo(n int64) int64 {
	p := int64(128)
	for p < n {
		p *= 2
	}
	return min(p, 65535)
}

// synBacklog checks the queue of incomplete TCP handshakes. With SYN cookies, a full
// queue only loses TCP options.
func synBacklog(h Host, p Plan) Check {
	need := queue(p)
	c := Check{Name: "syn-backlog", Area: "network", Title: "net.ipv4.tcp_max_syn_backlog", Needs: number(need)}
	v, err := h.number(key("net.ipv4.tcp_max_syn_backlog"))
	if err != nil {
		return unknown(c, err)
	}
	c.Found = number(v)
	if v >= need {
		return c
	}
	if cookies, err := h.number(key("net.ipv4.tcp_syncookies")); err == nil && cookies > 0 {
		c.Detail = []string{"net.ipv4.tcp_syncookies is on: SYN cookies take over when the queue is full"}
		return c
	}
	c.Status = Warn
	c.Fix = []string{sysctl("net.ipv4.tcp_max_syn_backlog", powerOfTwo(need)), sysctl("net.ipv4.tcp_syncookies", 1)}
	return c
}

// portRange matters to the connecting side only. It is checked if clients connect from
// this machine, such as through a proxy.
func portRange(h Host, p Plan) Check {
	n := int64(p.Sessions)
	c := Check{Name: "port-range", Area: "network", Title: "net.ipv4.ip_local_port_range", Needs: number(n) + " in total"}
	v, err := h.numbers(key("net.ipv4.ip_local_port_range"), 2)
	if err != nil {
		return unknown(c, err)
	}
	ports := v[1] - v[0] + 1
	c.Found = number(ports) + " per address"
	if ports >= n {
		return c
	}
	c.Status = Warn
	c.Detail = []string{fmt.Sprintf("a program that connects from this machine needs %d source addresses: 127.0.0.1, 127.0.0.2 ...", (n+ports-1)/ports)}
	if v[0] > 1024 || v[1] < 65535 {
		c.Fix = []string{sysctl("net.ipv4.ip_local_port_range", "1024 65535")}
	} else {
		c.Fix = []string{"let the proxy connect from more source addresses"}
	}
	return c
}

// conntrack checks the table of the kernel's connection tracking if that is loaded: a
// firewall may track every client, and drops new connections when the table is full.
func conntrack(h Host, p Plan) []Check {
	most, err := h.number(key("net.netfilter.nf_conntrack_max"))
	if err != nil {
		return []Check{{Name: "conntrack", Area: "network", Title: "connection tracking", Found: "not in use"}}
	}
	used, _ := h.number(key("net.netfilter.nf_conntrack_count"))
	// Add a tenth: the kernel keeps closed connections in the table for two minutes.
	need := used + int64(p.Sessions) + int64(p.Sessions)/10
	c := Check{Name: "conntrack", Area: "network", Title: "netfilter.nf_conntrack_max", Found: number(most), Needs: number(need)}
	if used == 0 {
		// Connection tracking is loaded, but no rule uses it.
		c.Found += ", unused"
		if most < need {
			c.Detail = []string{"not in use now; if a firewall rule tracks connections, the limit is " + number(most)}
		}
		return []Check{c}
	}
	c.allowFurther((most - used) / 11 * 10)
	if most < need {
		c.Status = Fail
		c.Detail = []string{number(used) + " connections are tracked now"}
		c.Fix = []string{
			sysctl("net.netfilter.nf_conntrack_max", roundUp(need, fileStep)),
			"nft add rule inet raw prerouting tcp dport { 5222, 5223 } notrack",
		}
	}
	return []Check{c}
}

// tracked reports whether connection tracking sees connections.
func tracked(h Host) bool {
	used, err := h.number(key("net.netfilter.nf_conntrack_count"))
	return err == nil && used > 0
}
