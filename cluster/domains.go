package cluster

import "strings"

// domainsField begins the names of the fields of nodesKey that hold the hashes of the nodes'
// domains. The node's epoch follows.
const domainsField = "domains "

// SetDomains changes Config.Domains.
func (n *Node) SetDomains(hash string) {
	n.domains.Store(&hash)
	n.hurry()
}

// compareDomains logs that other nodes serve other domains, once they have done so for as long as a
// lease: an operator cannot change the lists of all nodes at the same moment.
func (n *Node) compareDomains() {
	l, differ := &n.lease, n.members.Load().differ
	switch names := strings.Join(differ, ", "); {
	case names == "":
		if l.told != "" {
			n.log.Info("all nodes serve the same domains again", "node", n.config.Name)
		}
		l.differs, l.told = 0, ""
	case l.differs == 0:
		l.differs = max(n.now(), 1)
	case n.now()-l.differs >= n.config.Lease && names != l.told:
		n.log.Warn("other nodes serve other domains than this one, and do not find each other's clients there: give all nodes the same --domain", "node", n.config.Name, "others", names)
		l.told = names
	}
}
