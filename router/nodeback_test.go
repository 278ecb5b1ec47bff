package router_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
)

// slowNodes makes requests to the directory wait.
type slowNodes struct {
	*memnodes.Node
	goOn chan struct{}

	mu    sync.Mutex
	asked [][]string // accounts
}

func (n *slowNodes) CurrentAll(ctx context.Context, accounts []string) ([][]router.Place, error) {
	n.mu.Lock()
	n.asked = append(n.asked, accounts)
	n.mu.Unlock()
	<-n.goOn
	return n.Node.CurrentAll(ctx, accounts)
}

// TestBackTogether: a node dies, and others are told of each of its resources. A node that asks
// whether they have come back delivers messages meanwhile, and asks for all that it was told of
// meanwhile together.
func TestBackTogether(t *testing.T) {
	cluster, nodes := newCluster(t, 4, xmpptest.Config{})
	cleaner, dead, home, other := nodes[0], nodes[1], nodes[2], nodes[3]
	slow := &slowNodes{Node: other.Node(), goOn: make(chan struct{})}
	other.Router.Join(slow)
	contacts := []string{"romeo", "mercutio", "benvolio", "paris"}
	for _, name := range contacts {
		befriend(t, cleaner, jid.MustParse("juliet@localhost"), jid.MustParse(name+"@localhost"))
	}
	juliet, nurse := goOnline(t, other, "juliet", "j"), goOnline(t, cleaner, "nurse", "n")
	for _, name := range contacts {
		goOnline(t, dead, name, "r")
		juliet.await("<presence from='" + name + "@localhost/r'")
	}
	cluster.Wait()
	dead.Node().Kill()
	nurse.ask("<message type='chat' to='juliet@localhost/j' id='m'><body>is delivered</body></message>")
	juliet.await("is delivered")
	cluster.Wait()
	goOnline(t, home, "romeo", "r")
	cluster.Wait()
	juliet.sync()
	from := len(juliet.got)
	close(slow.goOn)
	juliet.awaitAll(from, "<presence from='romeo@localhost/r'") // again
	juliet.sync()
	var asked [][]string
	xmpptest.Eventually(t, "the directory was asked for all", func() bool {
		slow.mu.Lock()
		defer slow.mu.Unlock()
		asked = slices.Clone(slow.asked)
		return len(slices.Concat(asked...)) == len(contacts)
	})
	if len(asked) > 2 {
		t.Errorf("the directory was asked %d times: %q", len(asked), asked)
	}
	for _, name := range contacts {
		all := presencesOf(juliet, name+"@localhost/r")
		if left := slices.Index(all, false); left < 0 || name == "romeo" != all[len(all)-1] {
			t.Errorf("the presence of %s was %v", name, all)
		}
	}
}

// presencesOf returns the presence of a resource that a client has received: true for available,
// false for unavailable.
func presencesOf(c *rawClient, from string) (all []bool) {
	for _, text := range regexp.MustCompile("<presence [^>]*>").FindAllString(c.got, -1) {
		if strings.Contains(text, "from='"+from+"'") {
			all = append(all, !strings.Contains(text, "type='unavailable'"))
		}
	}
	return all
}
