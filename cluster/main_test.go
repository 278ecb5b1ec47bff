// The tests trust only what they say: see trusted.
//
//go:debug x509usefallbackroots=1
package cluster

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a test leaks a goroutine. The client's goroutine that postpones looking
// for other servers ends by itself within a second.
func TestMain(m *testing.M) {
	if url := os.Getenv(stopURLEnv); url != "" {
		runChild(url)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}
