package systest_test

import (
	"flag"
	"testing"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// TestMain runs more tests in parallel than there are cores, because most tests wait: for another
// process, or for an attempt to time out. The command line overrides the number.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "24")
	testutil.Main(m)
}
