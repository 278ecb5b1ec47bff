package cluster

import (
	"strings"

	"roost/router"
)

// generation holds what the cache was asked for in the same time. Its strings and places are in
// blocks of its own, which are given up with it. Objects of their own would lie among those of the
// sessions that are created meanwhile, and half a minute later leave gaps in the heap, some 10 B
// for each session after many logins. The zero value is empty.
type generation struct {
	entries map[string][]router.Place
	text    *strings.Builder // the last block of strings
	places  []router.Place   // the last block of places
	bytes   int64            // of all that were added, those that are deleted included
}

const (
	textBlock  = 1024 // bytes
	placeBlock = 32   // places

	entryBytes = 80 // of an entry without its key and places, about
	placeBytes = 48 // of a place, with a short resource
)

// entryCost is about how many bytes an entry uses.
func entryCost(account string, places []router.Place) int64 {
	return int64(entryBytes + len(account) + placeBytes*len(places))
}

// add adds copies. They must not be changed, and should not be kept for long: each string keeps its
// block.
func (g *generation) add(account string, places []router.Place) {
	if g.entries == nil {
		g.entries = make(map[string][]router.Place)
	}
	g.entries[g.clone(account)] = g.clonePlaces(places)
	g.bytes += entryCost(account, places)
}

func (g *generation) clonePlaces(places []router.Place) []router.Place {
	if len(places) == 0 {
		return nil
	}
	if cap(g.places)-len(g.places) < len(places) {
		g.places = make([]router.Place, 0, max(placeBlock, len(places)))
	}
	from := len(g.places)
	for _, p := range places {
		p.Resource = g.clone(p.Resource)
		g.places = append(g.places, p)
	}
	return g.places[from:len(g.places):len(g.places)]
}

func (g *generation) clone(s string) string {
	if g.text == nil || g.text.Cap()-g.text.Len() < len(s) {
		g.text = new(strings.Builder)
		g.text.Grow(max(textBlock, len(s)))
	}
	from := g.text.Len()
	g.text.WriteString(s)
	return g.text.String()[from:]
}
