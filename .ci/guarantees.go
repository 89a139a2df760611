//go:build ignore

// Guarantees writes docs/guarantees.md: what redial promises, and the tests that hold each promise, with the
// number of cases that passed. It reads what go test -json wrote on one or several systems:
//
//	go test -json ./... > linux.json
//	go run .ci/guarantees.go -write docs/guarantees.md "Linux=linux.json"
//
// With -check in place of -write it compares the page with what it would write, but for the numbers, which
// differ between machines. It exits with 1 if the page differs, or if a promise has a test that did not pass or is
// not there.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
)

// A promise is a numbered behaviour of the design, in a sentence for users.
type promise struct {
	name, sentence string
	tests          []string // top-level tests; a trailing * stands for the rest of the name
}

var promises = []promise{
	{"Who gave up", "Only the context, `Deadline` and `Cancel` decide whether the caller gave up, never the error; an attempt's own timeout is retried.",
		[]string{"TestRetryCanceled*", "TestTimeoutOfAnAttemptIsRetried", "TestPassedDeadlineEndsTheDialIfTheContextDoesNot", "TestDeadlineKeepsItsCause", "TestFaultSuspended", "TestFaultClockJumps", "TestAttach*"}},
	{"The whole budget, and no more", "The last wait is shortened so that one more attempt fits; without time for that, the dial fails at once.",
		[]string{"TestRetryUsesNearlyAllOfItsTime", "TestRetryStopsAtItsBounds", "TestOnAttemptTakesTime", "TestTimeInOnDialCountsForTheDial", "TestGateFailsAtOnce", "TestGateServesImpatientClients", "TestGateServesShortDials"}},
	{"The error says everything", "errors.Is finds the errno, the reason for stopping and the cause; the message names the address, the class, the attempts and the time.",
		[]string{"TestError*", "TestStopReasons", "TestCutOff*", "TestHistory*"}},
	{"The connection is the inner dialer's own", "It outlives the context, and is closed if nobody gets it, whatever panics or exits.",
		[]string{"TestConnOutlivesContext", "TestSuccessAsContextEnds", "TestPanicsCloseTheConnection", "TestOnDialFunctionIsCalledWhateverPanics", "TestDialFuncReturnsTestDouble", "TestDoClosesWhatItDoesNotReturn", "TestRaceUserCodePanics"}},
	{"A name is followed, and not given up", "The dial follows a record that changes or goes away for a while. A look-up goes on from one attempt to the next. Lost packets, silent servers and families, and search lists neither make the dial wait longer than `net.Dialer` nor fail where it connects; [addresses](addresses.md#the-look-up) has the exception.",
		[]string{"TestLookup*", "TestNames", "TestNamesLossy", "TestNamesWithSearchList", "TestNamesFirstServerSilent*", "TestNamesTwoServersSilent", "TestNamesSingleRequest", "TestResolver*", "FuzzResolverAnswers", "TestMangledAnswers", "TestDNSResolvesAnew", "TestDNSRecovers", "TestDNSFailsOnce", "TestFaultDNSReplies", "TestFaultDNSServer"}},
	{"Local trouble is not blamed on the target", "A look-up that fails because no descriptor is left is `exhausted`, not `not_found`.",
		[]string{"TestResolverOutOfDescriptors", "TestNoIPv6Source", "TestDescriptorCheckClosesItsOwn", "TestServiceWithoutDescriptors", "TestCrowdOfLookupsTakesNoDescriptors", "TestFaultSeccomp", "TestExplainDescriptors"}},
	{"No connection to itself", "A TCP socket that the kernel has connected to itself is closed, and the attempt has failed as `refused`.",
		[]string{"TestSelfConnect*", "TestRaceSelfConnect", "TestTunnelIsNoSelfConnect", "TestDoClosesASelfConnection"}},
	{"Retries do not multiply", "A dial with the context of another dial's running attempt makes one attempt. After that attempt has ended, dials with its context retry as usual.",
		[]string{"TestNestedDialMakesOneAttempt", "TestDialRetriesOnceItsOuterAttemptHasEnded", "TestDNSNestedDialer", "TestGateNested", "TestDialWithinDoIsNested", "TestAttachIgnoredWithinAttempt"}},
	{"Bounded, and nothing left behind", "A dial ends within 30 s by default; no goroutine, timer, callback, descriptor or socket file stays.",
		[]string{"TestRetryGoesOnWithoutLimit", "TestLocalSocketFile*", "TestLocalFile*", "TestLocalPortAfterVerify", "TestVerifyLeavesTheContext", "TestVerifyOfLockedConnEnds", "TestPanicInControlClosesTheSocket", "TestAttachLeavesNothingWithTheContext", "TestRetryCanceledBeforeOpensNoSocket", "TestTransportEndsWaits", "TestTransportOtherDialsObeyTheirContext"}},
	{"A schedule cannot hurt", "Each dial gets a new schedule for each class; delays under 1 ms become 1 ms; a literal `&backoff.ExponentialBackOff{}` works.",
		[]string{"TestScheduleCannotHurt", "TestRetryKeepsScheduleForEachClass", "TestExponentialStaysWithinItsBounds", "TestDefaultPolicyRetriesFiveClasses", "TestGateBadSchedules"}},
	{"Every attempt is logged once", "So is a dial that ends without one. Messages are constant, and a disabled level allocates nothing.",
		[]string{"TestLog*", "TestOnAttempt", "TestDialsSameAsZap"}},
	{"Every address gets its chance", "All addresses of a name, up to 64 in an attempt, are tried within its `Timeout`. A dead one does not hold up the others. What failed goes last in the next attempt, also if it failed after it had connected: in `Verify`, in a handshake, or in `Do`.",
		[]string{"TestRace*", "TestNamesAreRaced", "TestManyAddresses", "TestFailedAddressesGoLast", "TestAddressThatFailsAfterItConnected", "TestOrderOfTheNextDial", "TestCanceledAddressKeepsItsPlace", "TestAddressesFitLocalAddr", "TestFamiliesTakeTurns"}},
	{"A class is a class everywhere", "The same failure has the same class on every system, decided by types and errnos, never by text. [errors](errors.md#classes) says which classes are retried.",
		[]string{"TestClassify*", "FuzzClassify", "TestFault*", "TestClassOfEveryCondition"}},
	{"A crowd is one outage", "At a Gate, one dial at a time tries a dead target, and each dial keeps its own schedule and limits; a server that returns is not stormed.",
		[]string{"TestGate*", "FuzzGate"}},
	{"HTTP dials end with their requests", "No dial waits for a request that is over, and a connection that comes late serves another request.",
		[]string{"TestTransport*"}},
	{"A drop-in", "Every field and method of `net.Dialer` is there and works for each attempt; `Deadline` and `Cancel` end the whole dial.",
		[]string{"TestDropIn*", "TestEveryMethodOfNetDialer", "TestInnerError"}},
	{"A lost connection backs off", "`Reconnect` hits a server that accepts and closes no more often than one that refuses, and closes each connection, whatever panics or exits.",
		[]string{"TestReconnect*"}},
}

// A system is where tests ran.
type system struct {
	name                    string
	passed, failed, skipped int
	cases                   map[string]int // of each top-level test: how many leaves passed
	broken                  []string
}

func main() {
	write := flag.String("write", "", "write the page to this file")
	check := flag.String("check", "", "compare this file with the page")
	flag.Parse()
	var systems []*system
	for _, arg := range flag.Args() {
		name, file, _ := strings.Cut(arg, "=")
		systems = append(systems, read(name, file))
	}
	if len(systems) == 0 {
		exit("no results: pass NAME=FILE")
	}
	text, complaints := page(systems)
	switch {
	case *write != "":
		must(os.WriteFile(*write, []byte(text), 0o644))
	case *check != "":
		old, err := os.ReadFile(*check)
		must(err)
		if masked(string(old)) != masked(text) {
			complaints = append(complaints, *check+" is out of date: write it anew")
		}
	}
	for _, c := range complaints {
		fmt.Println(c)
	}
	if len(complaints) > 0 {
		os.Exit(1)
	}
	fmt.Printf("%d promises hold\n", len(promises))
}

// An event is what go test -json writes; see go doc test2json.
type event struct{ Action, Package, Test string }

// read counts the tests in a file.
func read(name, file string) *system {
	f, err := os.Open(file)
	must(err)
	defer f.Close()
	s := &system{name: name, cases: map[string]int{}}
	ended := map[[2]string]string{}
	parents := map[[2]string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Test == "" {
			continue
		}
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			ended[[2]string{e.Package, e.Test}] = e.Action
			if parent := path.Dir(e.Test); parent != "." {
				parents[[2]string{e.Package, parent}] = true
			}
		}
	}
	must(lines.Err())
	for test, action := range ended {
		if parents[test] {
			continue
		}
		top, _, _ := strings.Cut(test[1], "/")
		switch action {
		case "pass":
			s.passed++
			s.cases[top]++
		case "fail":
			s.failed++
			s.broken = append(s.broken, test[1])
		case "skip":
			s.skipped++
		}
	}
	return s
}

// page returns the page, and what is wrong.
func page(systems []*system) (string, []string) {
	var b strings.Builder
	var complaints []string
	b.WriteString(`# Guarantees

What redial promises, and the tests that check each promise. A number is how many cases of these tests passed in the run
that made this page. ` + "`.ci/run`" + ` fails if a test is gone or does not pass, or if the page names other tests.

| | promise | tests | cases |
|---|---|---|---|
`)
	for i, p := range promises {
		var names []string
		cases := 0
		for _, pattern := range p.tests {
			n := 0
			for test, passed := range systems[0].cases {
				if prefix, ok := strings.CutSuffix(pattern, "*"); test == pattern || ok && strings.HasPrefix(test, prefix) {
					n += passed
				}
			}
			if n == 0 {
				complaints = append(complaints, fmt.Sprintf("promise %d: %s did not pass on %s", i+1, pattern, systems[0].name))
			}
			cases += n
			names = append(names, "`"+pattern+"`")
		}
		fmt.Fprintf(&b, "| %d | **%s.** %s | %s | %d |\n", i+1, p.name, p.sentence, strings.Join(names, ", "), cases)
	}
	b.WriteString("\n## Where the tests ran\n\n| system | cases passed | skipped |\n|---|---|---|\n")
	for _, s := range systems {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", s.name, s.passed, s.skipped)
		for _, test := range s.broken {
			complaints = append(complaints, fmt.Sprintf("%s failed on %s", test, s.name))
		}
	}
	b.WriteString(`
A case is skipped where its system lacks what it needs, such as network namespaces; each says why. Beyond these: fuzzing
(classification, explanations, the Gate against a model), ` + "`TestSoak`" + ` (200 goroutines, faults and panics), sixteen [clients](clients.md)
on real servers, and code broken in many small ways, of which the tests notice at least 95 % ([CONTRIBUTING](../CONTRIBUTING.md)).
`)
	return b.String(), complaints
}

var number = regexp.MustCompile(`\| \d+ `)

// masked replaces the counts, which differ between machines, and the other systems, which not every machine has.
func masked(text string) string {
	before, rest, _ := strings.Cut(text, "## Where the tests ran")
	_, after, _ := strings.Cut(rest, "\nA case is skipped")
	return number.ReplaceAllString(before+after, "| n ")
}

func must(err error) {
	if err != nil {
		exit(err)
	}
}

func exit(why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(2)
}
