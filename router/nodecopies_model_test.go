package router_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"roost/internal/xmpptest"
)

var wholeStanza = regexp.MustCompile(`</message>|<(?:iq|presence) [^>]*/>`)

// roamer is a client of juliet that moves between nodes.
type roamer struct {
	*rawClient
	t       *testing.T
	id      string
	handled int   // stanzas, on earlier connections
	ids     []int // of the messages that it got there
}

func (c *roamer) move(to *xmpptest.Server) {
	c.handled += len(wholeStanza.FindAllString(c.got, -1))
	c.ids = append(c.ids, c.received()...)
	c.rawClient = resumeAt(c.t, to, "juliet", c.id, strconv.Itoa(c.handled))
	c.got, c.used = c.got[c.used:], 0
	c.await("/>")
	c.got, c.used = c.got[c.used:], 0
}

// TestCopiesModel: a client sends messages to an account while its two resources move between the
// other nodes, which get what it sends late. Both get each message once.
func TestCopiesModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	cluster, nodes := newCluster(t, 4, xmpptest.Config{})
	romeo := loginRaw(t, nodes[3], "romeo", plainHeader)
	var all []*roamer
	for i, resource := range []string{"phone", "desk"} {
		c, id := resumableAs(t, nodes[i], "juliet", resource)
		c.write("<presence/>")
		c.sync()
		all = append(all, &roamer{rawClient: c, t: t, id: id})
	}
	cluster.Wait()
	sent := 0
	send := func(n int) {
		romeo.sendNumbered(sent, sent+n, "b")
		romeo.sync()
		sent += n
	}
	for range *resumeSteps {
		var releases []func()
		for _, n := range nodes[:3] {
			if random.IntN(2) == 0 {
				releases = append(releases, n.Node().HoldFor("romeo@localhost"))
			}
		}
		send(2)
		for _, c := range all {
			if random.IntN(3) > 0 {
				c.sync()
				c.move(nodes[random.IntN(3)])
			}
			send(1)
		}
		random.Shuffle(len(releases), func(i, k int) { releases[i], releases[k] = releases[k], releases[i] })
		for _, release := range releases {
			release()
			send(random.IntN(2))
		}
		cluster.Wait()
	}
	for i, c := range all {
		c.sync()
		c.ids = append(c.ids, c.received()...)
		slices.Sort(c.ids)
		if !slices.Equal(c.ids, numbers(0, sent)) {
			t.Errorf("resource %d has received %v of %d", i, c.ids, sent)
		}
	}
}
