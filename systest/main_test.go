package systest_test

import (
	"flag"
	"testing"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// TestMain lets more tests run at once than there are cores, because most of them wait: for another process, or for an
// attempt to time out. The command line may say otherwise.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8")
	testutil.Main(m)
}
