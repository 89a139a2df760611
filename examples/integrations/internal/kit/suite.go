package kit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// An Operation is what a program does with its client, such as a query. The first one connects.
type Operation = func(ctx context.Context) error

// A Suite is what each client goes through, alone and with redial: a server that is down at first, that
// is never up, and that is killed under load; a crowd at a dead server; addresses and hosts of which
// the first is of no use. In each of these, the client with redial must connect where the client
// alone does, about as soon, and its error must say as much.
type Suite struct {
	// Client is the client's name in the tables.
	Client string

	// Server returns a server that has not been started, and its address. It listens on
	// 127.0.0.1 only.
	Server func(t *testing.T) (*Server, string)

	// Alone returns an operation of a new client that dials with d and nothing else of redial, set as its users set
	// it. An address is a host and a port. If the host is a name, d.Resolver resolves it.
	Alone func(t *testing.T, d *net.Dialer, addresses ...string) Operation

	// Redial is Alone with the recipe of main.go. It may set the fields of d that the
	// recipe sets, and leaves the others.
	Redial func(t *testing.T, d *redial.Dialer, addresses ...string) Operation

	// Dead returns an address that the client cannot get through to, and the class of the failure. Nil means
	// a port that refuses.
	Dead func(t *testing.T) (address string, class redial.Class)

	// Patience is how long an operation waits for a server that starts. Zero means 20 s. Set it for
	// a server that needs long.
	Patience time.Duration

	// Hosts says that the client knows several hosts: Alone and Redial get several addresses.
	Hosts bool

	// Untyped says that the client keeps the dial's error as text, or not at all. Then the
	// Dialer's log has the class.
	Untyped bool

	// AtOnce says that an operation fails with its first dial, because the recipe leaves retries to
	// the program (MaxAttempts 1, and the client does not retry).
	AtOnce bool

	// DialOnly says that the recipe retries dials only, so that an operation fails at a server that accepts
	// and is not ready yet.
	DialOnly bool

	// Lost is how many operations with redial may fail in the outage. Zero means 20: those
	// that were in flight, each of ten goroutines twice. With DialOnly it means 40, because logins fail
	// too, when the server dies and while it starts.
	Lost int64

	// Shares says that operations share one dial. Then each goroutine of a crowd has a client
	// of its own.
	Shares bool

	// NoGate says why a Gate is of no use. Empty means that it is.
	NoGate string
}

// Keep returns an operation that uses a client. It connects the client first, and again after it has
// failed to. Operations that run meanwhile wait for the client.
func Keep[C any](connect func(ctx context.Context) (C, error), use func(ctx context.Context, client C) error) Operation {
	var mu sync.Mutex
	var client *C // guarded by mu
	get := func(ctx context.Context) (*C, error) {
		mu.Lock()
		defer mu.Unlock()
		if client == nil {
			c, err := connect(ctx)
			if err != nil {
				return nil, err
			}
			client = &c
		}
		return client, nil
	}
	return func(ctx context.Context) error {
		c, err := get(ctx)
		if err != nil {
			return err
		}
		return use(ctx, *c)
	}
}

// Run runs the subtests of the Suite. The test must not be parallel, because the outage runs alone.
func (s Suite) Run(t *testing.T) { RunSuites(t, s) }

// RunSuites runs the subtests of several Suites: the outages one by one, and then the rest side by side.
func RunSuites(t *testing.T, suites ...Suite) {
	servers := make([]*Server, len(suites))
	addresses := make([]string, len(suites))
	for i, s := range suites {
		servers[i], addresses[i] = s.Server(t)
		servers[i].Start(t)
		t.Run("outage, "+s.Client, func(sub *testing.T) {
			s.outage(sub, func() {
				servers[i].Kill()
				time.Sleep(down)
				servers[i].Start(t) // it goes on after the subtest
			}, addresses[i])
		})
	}
	for i, s := range suites {
		t.Run(s.Client, func(t *testing.T) {
			t.Parallel()
			t.Run("down at first", s.downAtFirst)
			t.Run("never up", s.neverUp)
			t.Run("gate", s.gate)
			s.firstOfTwo(t, addresses[i])
		})
	}
}

func (s Suite) outage(t *testing.T, trouble func(), address string) {
	alone := &Contender{Name: "net.Dialer", PerOp: s.Patience, Do: s.Alone(t, new(net.Dialer), address)}
	ours := &Contender{Name: "redial", PerOp: s.Patience, Do: s.Redial(t, &redial.Dialer{Logger: zap.NewNop()}, address)}
	Through(t, trouble, alone, ours)
	s.record(t, "outage", alone.lost(), ours.lost())
	most := max(s.Lost, 20)
	if s.DialOnly {
		most = max(s.Lost, 40)
	}
	if s.AtOnce {
		most = max(most, 2*alone.Failed.Load())
	}
	assert.LessOrEqual(t, ours.Failed.Load(), most, "more failed than was in flight")
}

func (c *Contender) lost() string {
	return fmt.Sprintf("%d/%d", c.Failed.Load(), c.Operations.Load())
}

// downAtFirst starts the server two seconds after the operation. One of three tries is enough, because
// a client alone that retries by itself may happen to do so just when the server is back.
func (s Suite) downAtFirst(t *testing.T) {
	t.Parallel()
	var alone, ours outcome
	for range 3 {
		server, address := s.Server(t)
		server.LaunchAfter(t, 2*time.Second)
		alone, ours = s.both(t, cmp.Or(s.Patience, 20*time.Second), new(net.Dialer), &redial.Dialer{Logger: zap.NewNop()}, address)
		if ours.isNoWorse(alone, 500*time.Millisecond) {
			break
		}
		t.Logf("alone: %v: %v; with redial: %v: %v", alone, alone.err, ours, ours.err)
	}
	s.record(t, "down for 2 s", alone.String(), ours.String())
	switch {
	case s.AtOnce:
	case s.DialOnly:
		assert.NotErrorIs(t, ours.err, syscall.ECONNREFUSED)
	default:
		assert.NoError(t, ours.err)
	}
	assert.True(t, ours.isNoWorse(alone, 500*time.Millisecond), "alone: %v; with redial: %v", alone, ours)
}

// dead returns an address that nobody serves, and the class of the failure.
func (s Suite) dead(t *testing.T) (address string, class redial.Class) {
	if s.Dead != nil {
		return s.Dead(t)
	}
	return testutil.RefusingAddress(t, "tcp4"), redial.Refused
}

// neverUp has a server that is not there.
func (s Suite) neverUp(t *testing.T) {
	t.Parallel()
	address, class := s.dead(t)
	core, log := observer.New(zap.DebugLevel)
	var connects Connects
	d := &redial.Dialer{Dialer: net.Dialer{Control: connects.Control}, Logger: zap.New(core)}
	const patience = 3 * time.Second
	alone, ours := s.both(t, patience, new(net.Dialer), d, address)
	t.Logf("alone: %v: %v; with redial: %v: %v", alone, alone.err, ours, ours.err)
	s.record(t, "never up", alone.took.Round(10*time.Millisecond).String(), ours.took.Round(10*time.Millisecond).String())
	assert.Error(t, ours.err)
	assert.NotErrorIs(t, ours.err, errStuck)
	assert.LessOrEqual(t, connects.Count(), 30, "the client must not multiply the attempts")
	assert.NotEmpty(t, log.Filter(func(e observer.LoggedEntry) bool { return e.ContextMap()["class"] == class.String() }).All())
	if errors.Is(alone.err, syscall.ECONNREFUSED) {
		assert.ErrorIs(t, ours.err, syscall.ECONNREFUSED, "the client alone says so")
	}
	if text := "connection refused"; alone.err != nil && ours.err != nil && strings.Contains(alone.err.Error(), text) {
		assert.ErrorContains(t, ours.err, text, "the client alone says so")
	}
	if !s.Untyped {
		assert.Equal(t, class, redial.Classify(ours.err))
	}
}

func (s Suite) gate(t *testing.T) {
	t.Parallel()
	if s.NoGate != "" {
		t.Skip(s.NoGate)
	}
	address, _ := s.dead(t)
	without, with := Storm(t, s.Shares, func(t *testing.T, d *redial.Dialer) Operation { return s.Redial(t, d, address) })
	s.record(t, "crowd", fmt.Sprint(without), fmt.Sprint(with))
}

// uses are the ways in which a first address or host can be of no use, with their own addresses.
var uses = []struct{ name, host string }{
	{"refuses", "127.0.0.2"},
	{"silent", "127.0.0.3"}, // does not even accept
	{"closes", "127.0.0.4"}, // accepts, and closes at once
	{"mute", "127.0.0.5"},   // accepts, and says nothing
}

// useless makes the hosts of uses, for a port.
func useless(t *testing.T, port string) {
	t.Helper()
	testutil.ListenSilent(t, net.JoinHostPort("127.0.0.3", port))
	testutil.Listen(t, "tcp", net.JoinHostPort("127.0.0.4", port), func(net.Conn) {})
	testutil.Listen(t, "tcp", net.JoinHostPort("127.0.0.5", port), func(conn net.Conn) { io.Copy(io.Discard, conn) })
}

// firstOfTwo has names with two addresses, of which the first is of no use and the second is the server at
// address, and the same with two hosts in the client's list.
func (s Suite) firstOfTwo(t *testing.T, address string) {
	host, port, err := net.SplitHostPort(address)
	assert.NoError(t, err)
	assert.Equal(t, "127.0.0.1", host, "the server must listen on this address only")
	useless(t, port)
	dns := dnstest.Start(t, FreeAddress(t)) // the same port for UDP and TCP
	for _, use := range uses {
		name := use.name + ".service.test"
		dns.Set(name, dnstest.Addrs(use.host, host))
		s.neverWorse(t, "address "+use.name, dns.Resolver(), net.JoinHostPort(name, port))
		if s.Hosts {
			s.neverWorse(t, "host "+use.name, nil, net.JoinHostPort(use.host, port), address)
		}
	}
}

// neverWorse runs a subtest in which the client with redial must connect where the client alone
// does, and about as soon. On a busy machine one of three tries is enough.
func (s Suite) neverWorse(t *testing.T, situation string, resolver *net.Resolver, addresses ...string) {
	t.Run(situation, func(t *testing.T) {
		t.Parallel()
		const slack = 200 * time.Millisecond // less than the 300 ms after which a race starts the next address
		var alone, ours outcome
		for range 3 {
			// A Timeout of 4 s is what an impatient program sets. net.Dialer divides it among the addresses.
			alone, ours = s.both(t, 5*time.Second,
				&net.Dialer{Resolver: resolver, Timeout: 4 * time.Second},
				&redial.Dialer{Dialer: net.Dialer{Resolver: resolver}, Logger: zap.NewNop()}, addresses...)
			if ours.isNoWorse(alone, slack) {
				break
			}
			t.Logf("alone: %v: %v; with redial: %v: %v", alone, alone.err, ours, ours.err)
		}
		s.record(t, situation, alone.String(), ours.String())
		assert.True(t, ours.isNoWorse(alone, slack), "alone: %v: %v; with redial: %v: %v", alone, alone.err, ours, ours.err)
	})
}

// both runs the first operations of a client alone and of one with redial, each in the given time.
// A client may begin with any of its hosts, so both have six tries, and the slowest counts: with fewer, the client alone
// is too often lucky in all of them.
func (s Suite) both(t *testing.T, patience time.Duration, plain *net.Dialer, d *redial.Dialer, addresses ...string) (alone, ours outcome) {
	tries := 1
	if len(addresses) > 1 {
		tries = 6
	}
	var running sync.WaitGroup
	results := make([][2]outcome, tries)
	for i := range results {
		plain, d := *plain, *d
		first, second := s.Alone(t, &plain, addresses...), s.Redial(t, &d, addresses...)
		running.Go(func() { results[i][0] = run(t, patience, first) })
		running.Go(func() { results[i][1] = run(t, patience, second) })
	}
	running.Wait()
	alone, ours = results[0][0], results[0][1]
	for _, r := range results[1:] {
		alone, ours = slower(alone, r[0]), slower(ours, r[1])
	}
	return alone, ours
}

// An outcome is how an operation ended.
type outcome struct {
	took time.Duration
	err  error
}

// errStuck is the error of an operation that does not end with its context.
var errStuck = errors.New("did not end with its context")

// run runs an operation. It gives up one that outlives its context by two seconds.
func run(t *testing.T, patience time.Duration, do Operation) outcome {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start, result := time.Now(), make(chan error, 1)
	go func() { result <- do(ctx) }()
	select {
	case err := <-result:
		return outcome{time.Since(start), err}
	case <-time.After(patience + 2*time.Second):
		return outcome{time.Since(start), errStuck}
	}
}

func slower(a, b outcome) outcome {
	if a.err == nil && (b.err != nil || b.took > a.took) {
		return b
	}
	return a
}

// isNoWorse reports whether o connected if alone did, and at most slack later. If alone failed,
// o must end too.
func (o outcome) isNoWorse(alone outcome, slack time.Duration) bool {
	if alone.err != nil {
		return !errors.Is(o.err, errStuck) || errors.Is(alone.err, errStuck)
	}
	return o.err == nil && o.took < alone.took+slack
}

// String returns the time that a successful operation took, or "fails".
func (o outcome) String() string {
	switch {
	case errors.Is(o.err, errStuck):
		return "stuck"
	case o.err != nil:
		return "fails"
	}
	return fmt.Sprintf("%d ms", o.took.Milliseconds())
}
