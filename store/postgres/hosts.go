package postgres

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// shareTimeout divides the time for an attempt to connect, total, among the addresses of the servers
// in the URL. pgx tries one after the other, and always begins with the same: if that one does
// not answer, because its machine is off, it must leave time for the others.
func shareTimeout(ctx context.Context, c *pgx.ConnConfig, total time.Duration) {
	names := lookupOnce(ctx, c)
	tried, last := 0, ""
	try := func(host string, port uint16) {
		for _, address := range names(host) {
			// With sslmode=prefer, the same address is tried again within the same time.
			if at := net.JoinHostPort(address, strconv.Itoa(int(port))); at != last {
				tried, last = tried+1, at
			}
		}
	}
	try(c.Host, c.Port)
	for _, f := range c.Fallbacks {
		try(f.Host, f.Port)
	}
	c.ConnectTimeout = min(c.ConnectTimeout, total/time.Duration(max(tried, 1)))
}

// lookupOnce makes c look each host up once only, and returns a function that returns its
// addresses: none if it cannot be looked up. The directory of a Unix socket is an address.
func lookupOnce(ctx context.Context, c *pgx.ConnConfig) func(host string) []string {
	type result struct {
		addresses []string
		err       error
	}
	known := make(map[string]result)
	lookup := c.LookupFunc
	c.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		r, ok := known[host]
		if !ok {
			r.addresses, r.err = lookup(ctx, host)
			known[host] = r
		}
		return r.addresses, r.err
	}
	return func(host string) []string {
		if filepath.IsAbs(host) {
			return []string{host}
		}
		addresses, _ := c.LookupFunc(ctx, host) // pgx reports the error
		return addresses
	}
}
