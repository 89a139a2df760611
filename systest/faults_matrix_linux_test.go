//go:build !386 && !s390x

// On these two there are no faults of seccomp.

package systest_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// faultTables has the faults that each test tests.
var faultTables = []struct {
	test   string
	faults []fault
}{
	{"TestFaultKernel", kernelFaults},
	{"TestFaultServer", serverFaults},
	{"TestFaultHost", hostFaults},
	{"TestFaultRoutes", routeFaults},
	{"TestFaultFirewall", firewallFaults},
	{"TestFaultICMP", icmpFaults(nil)},
	{"TestFaultDNSReplies", replyFaults},
	{"TestFaultDNSServer", dnsServerFaults},
	{"TestFaultDNSServer", policyFaults},
	{"TestFaultResolverSandbox", sandboxFaults()},
	{"TestFaultTLS", tlsFaults},
	{"TestFaultSetUp", setUpFaults},
	{"TestFaultDenied", deniedFaults},
	{"TestFaultCgroup", cgroupFaults},
	{"TestFaultCaller", callerFaults},
	{"TestFaultSeccomp", seccompFaults()},
}

// Every class has at least three causes that are real, which leaves out the errnos that seccomp
// injects. No two subtests have the same name. testdata/faults.txt lists all faults by class. After a
// change,
//
//	go test -run FaultMatrix ./systest -update
//
// rewrites the list.
func TestFaultMatrix(t *testing.T) {
	var list strings.Builder
	names := map[string]bool{}
	for class := redial.Unknown; class <= redial.Canceled; class++ {
		var lines []string
		causes := map[string]bool{}
		for _, table := range faultTables {
			for _, f := range table.faults {
				if f.class != class {
					continue
				}
				name := fmt.Sprint(table.test, "/", f, "/", f.only)
				assert.False(t, names[name], "two faults have the name %s", name)
				names[name] = true
				if !slices.Contains([]string{"TestFaultSeccomp", "TestFaultResolverSandbox"}, table.test) {
					causes[f.cause] = true
				}
				lines = append(lines, strings.TrimRight(fmt.Sprintf("  %-20s %-5s %s", table.test, f.only, f.cause), " "))
			}
		}
		assert.GreaterOrEqual(t, len(causes), 3, "class %v has too few causes", class)
		retried := "not retried"
		if slices.Contains(classesRetried, class) {
			retried = "retried"
		}
		fmt.Fprintf(&list, "%v, %s: %d causes, %d of them real\n%s\n\n", class, retried, len(lines), len(causes), strings.Join(lines, "\n"))
	}
	const path = "testdata/faults.txt"
	if updating() {
		require.NoError(t, os.WriteFile(path, []byte(list.String()), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), list.String())
}
