package metrics

// clusterFamilies are exported by a server that is a node of a cluster.
var clusterFamilies = []family{
	{"roost_cluster_reachable", gauge, "1 while the Redis server of the cluster can be reached and this node has a lease, otherwise 0: then this node serves its own clients only.", nil, func(n *numbers, out *samples) {
		if n.cluster != nil {
			out.addBool(n.cluster.Reachable)
		}
	}},
	{"roost_cluster_lease_age_seconds", gauge, "Time since this node has renewed its lease, which lasts 10 seconds.", nil, func(n *numbers, out *samples) {
		if n.cluster != nil {
			out.addFloat(n.cluster.LeaseAgeSeconds)
		}
	}},
	{"roost_cluster_other_nodes", gauge, "Other nodes that are alive.", nil, func(n *numbers, out *samples) {
		if n.cluster != nil {
			out.add(int64(len(n.cluster.Others)))
		}
	}},
	{"roost_cluster_other_domains", gauge, "Of the other nodes, those that do not serve the same domains as this one.", nil, func(n *numbers, out *samples) {
		if n.cluster != nil {
			out.add(int64(len(n.cluster.OtherDomains)))
		}
	}},
	{"roost_cluster_entries", gauge, "Resources of this node in the directory.", nil, func(n *numbers, out *samples) {
		if n.cluster != nil {
			out.add(n.cluster.Entries)
		}
	}},
	{"roost_cluster_items_total", counter, "Messages, presence and other items between nodes: sent, received, returned (not delivered; messages among them were stored or bounced), or refused (a queue was full).",
		[]string{"event"}, func(n *numbers, out *samples) {
			if c := n.cluster; c != nil {
				out.add(int64(c.SentTotal), "sent")
				out.add(int64(c.ReceivedTotal), "received")
				out.add(int64(c.ReturnedTotal), "returned")
				out.add(int64(c.RefusedTotal), "refused")
			}
		}},
	{"roost_cluster_waiting_bytes", gauge, "Items that other nodes have not handled (out), and that this node has received and not handled (in).", []string{"direction"}, func(n *numbers, out *samples) {
		if n.cluster != nil {
			out.add(n.cluster.WaitingBytes, "out")
			out.add(n.cluster.UnhandledBytes, "in")
		}
	}},
	{"roost_cluster_lookups_total", counter, "Lookups of the resources of an account on other nodes, by where they were found: memory, directory.", []string{"source"}, func(n *numbers, out *samples) {
		if n.cluster != nil {
			out.add(int64(n.cluster.HitsTotal), "memory")
			out.add(int64(n.cluster.LookupsTotal), "directory")
		}
	}},
	{"roost_cluster_rejoined_total", counter, "Times that the directory has lost this node, which has registered its clients again.", nil, func(n *numbers, out *samples) {
		if n.cluster != nil {
			out.add(int64(n.cluster.RejoinedTotal))
		}
	}},
}
