package cluster

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"

	"github.com/redis/rueidis"
)

// script is a Lua script that the server executes as one step. All keys that it uses are in
// one slot of Redis Cluster.
type script struct{ text, sha string }

// scripts are all that exist.
var scripts []*script

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text))
	s := &script{text, hex.EncodeToString(sum[:])}
	scripts = append(scripts, s)
	return s
}

var (
	//go:embed lua/nodes.lua
	nodesText   string
	nodesScript = newScript(nodesText)
	//go:embed lua/register.lua
	registerText   string
	registerScript = newScript(registerText)
	//go:embed lua/update.lua
	updateText   string
	updateScript = newScript(updateText)
	//go:embed lua/unregister.lua
	unregisterText   string
	unregisterScript = newScript(unregisterText)
	//go:embed lua/send.lua
	sendText   string
	sendScript = newScript(sendText)
	//go:embed lua/ack.lua
	ackText   string
	ackScript = newScript(ackText)
	//go:embed lua/level.lua
	levelText   string
	levelScript = newScript(levelText)
	//go:embed lua/close.lua
	closeText   string
	closeScript = newScript(closeText)
)

// call is the command that executes s.
func (s *script) call(c rueidis.Client, keys, args []string) rueidis.Completed {
	return c.B().Evalsha().Sha1(s.sha).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
}
