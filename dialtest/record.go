package dialtest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

// A Dial is a record of one call of [Dialer.DialContext].
type Dial struct {
	Network, Address string
	Start            time.Time
	End              time.Time // zero while the dial is under way
	Deadline         time.Time // of the context; zero if there is none
	Conn             net.Conn  // as returned; nil if the dial failed
	Err              error     // as returned; nil if the dial connected
}

// String returns what was dialed and how the dial ended.
func (d Dial) String() string {
	switch {
	case d.End.IsZero():
		return fmt.Sprintf("dial %s %s: under way", d.Network, d.Address)
	case d.Conn != nil:
		return fmt.Sprintf("dial %s %s: connected from %v", d.Network, d.Address, d.Conn.LocalAddr())
	}
	return fmt.Sprintf("dial %s %s: %v", d.Network, d.Address, d.Err)
}

// Dials returns a record of each dial to addresses so far, in the order in which the dials began.
// Without addresses, it returns a record of every dial.
func (d *Dialer) Dials(addresses ...string) []Dial {
	return d.recorded(func(dial Dial) bool {
		return len(addresses) == 0 || slices.Contains(addresses, dial.Address)
	})
}

// Delays returns the times between the dials to addresses so far. Without addresses, it returns the
// times between all dials. A delay is from the end of one dial to the start of the next. The delay
// is zero if the next dial started before the end.
func (d *Dialer) Delays(addresses ...string) []time.Duration {
	var delays []time.Duration
	var before Dial
	for i, dial := range d.Dials(addresses...) {
		if i > 0 {
			delays = append(delays, dial.since(before))
		}
		before = dial
	}
	return delays
}

func (d Dial) since(before Dial) time.Duration {
	if before.End.IsZero() {
		return 0
	}
	return max(d.Start.Sub(before.End), 0)
}

// Open returns the dials whose connection the dialing side has not closed yet. At the end of a
// test, these connections are leaked.
func (d *Dialer) Open() []Dial {
	return d.recorded(func(dial Dial) bool {
		c, ok := dial.Conn.(*conn)
		return ok && !c.isClosed()
	})
}

func (d *Dialer) recorded(wanted func(Dial) bool) []Dial {
	d.mu.Lock()
	defer d.mu.Unlock()
	var dials []Dial
	for _, dial := range d.dials {
		if wanted(dial) {
			dials = append(dials, dial)
		}
	}
	return dials
}

// began records the start of a dial, and returns the dial's number.
func (d *Dialer) began(ctx context.Context, network, address string) int {
	deadline, _ := ctx.Deadline()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dials = append(d.dials, Dial{Network: network, Address: address, Start: time.Now(), Deadline: deadline})
	return len(d.dials) - 1
}

// ended records the result of the dial with that number.
func (d *Dialer) ended(number int, conn net.Conn, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dial := &d.dials[number]
	dial.End, dial.Conn, dial.Err = time.Now(), conn, err
}
