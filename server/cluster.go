package server

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"roost/admin/api"
	"roost/cluster"
	"roost/store"
	"roost/store/stores"
)

// With Config.Cluster, this server is a node of a cluster: the router finds clients on other
// nodes, and they find those here. The nodes share the store, the domains, and the secret.

// validateCluster checks the part of the configuration that is about other nodes.
func (c *Config) validateCluster(mistake func(field, format string, args ...any)) {
	if name := c.Cluster.Name; name != "" {
		if err := cluster.CheckName(name); err != nil {
			mistake("Cluster.Name", "%w", err)
		}
	}
	if c.Cluster.URL == "" {
		return
	}
	if err := cluster.CheckURL(c.Cluster.URL); err != nil {
		mistake("Cluster.URL", "%w", err)
	}
	url := c.Store
	if url == "" {
		url = stores.Default(c.DataDir)
	}
	if location, err := stores.Locate(url); err == nil {
		if local, ok := location.(store.Local); ok {
			mistake("Cluster.URL", "all nodes share one store, and %s is a file of this machine: use a database server, such as --store postgres://roost@db.example.org/roost", local.Path())
		}
	}
}

// nodeName is the name of this node, by default that of the machine.
func (c *Config) nodeName() string {
	if c.Cluster.Name != "" {
		return c.Cluster.Name
	}
	host, _ := os.Hostname()
	return host
}

// Node returns the name of this node of a cluster, or "" if the server is alone.
func (s *Server) Node() string {
	if s.node == nil {
		return ""
	}
	return s.config().nodeName()
}

// openCluster prepares the connection with the other nodes, if there are any.
func (s *Server) openCluster(ctx context.Context, cfg *Config, secret []byte, location store.Location) (err error) {
	if cfg.Cluster.URL == "" {
		return nil
	}
	c := cfg.Cluster
	c.Name, c.Logger = cfg.nodeName(), cfg.Logger
	shared, err := hkdf.Key(sha256.New, secret, nil, "roost: cluster", sha256.Size)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	c.Shared, c.Domains = hex.EncodeToString(shared), domainsHash(cfg.Domains)
	if shareable, ok := location.(store.Shareable); ok {
		identity, err := shareable.Identity(ctx)
		if err != nil {
			return fmt.Errorf("server: %w", err)
		}
		if identity != "" {
			c.Database = shortHash(identity)
		}
	}
	if s.node, err = cluster.New(c, s.router); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	s.router.Join(s.node)
	s.router.BeginRestore()
	return nil
}

// domainsHash returns a text that is the same for lists with the same domains, and no other.
func domainsHash(domains []string) string {
	return shortHash(strings.Join(slices.Compact(slices.Sorted(slices.Values(domains))), " "))
}

// shortHash returns a text by which others are told apart.
func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// joinCluster makes this server a node of the cluster, also if that has to wait for the
// Redis server.
func (s *Server) joinCluster(ctx context.Context) error {
	if s.node == nil {
		return nil
	}
	err := s.node.Start(ctx)
	switch {
	case errors.Is(err, cluster.ErrDiffers):
		file := filepath.Join(s.config().DataDir, secretFile)
		return fmt.Errorf("server: %s is not the same file as on the other nodes: copy it from the data directory of one of them", file)
	case err != nil:
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

// clusterStatus is this node's part of the cluster.
func (s *Server) clusterStatus() *api.Cluster {
	n := s.node.Stats()
	return &api.Cluster{
		Node: s.Node(), Number: uint64(s.node.Self()), Others: append([]string{}, n.Others...),
		OtherDomains: append([]string{}, n.Differ...), Reachable: n.Reachable, LeaseAgeSeconds: n.LeaseAge.Seconds(), Entries: n.Entries,
		SentTotal: n.SentItems, ReceivedTotal: n.ReceivedItems, ReturnedTotal: n.Undelivered, RefusedTotal: n.RefusedItems,
		WaitingBytes: n.QueueBytes, UnhandledBytes: int64(n.HandleBytes),
		HitsTotal: n.Hits, LookupsTotal: n.Lookups, RejoinedTotal: n.Rejoined,
	}
}

// leaveCluster ends this node's part of the cluster. Its sessions have ended before, or are in
// the store.
func (c *core) leaveCluster(ctx context.Context) {
	if c.node != nil {
		c.node.Close(ctx)
	}
}
