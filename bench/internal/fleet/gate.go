package fleet

// A gate is a model of the redial.Gate of a process, with what matters in a fleet: dials without
// a deadline, refusals that come at once and are all of one class. TestModelOfGate compares it
// with the Gate itself.
type gate struct {
	waiting []int32 // the dials in the queue
	flying  int     // attempts in flight
	window  int     // how many may be; zero: nobody has dialed yet

	// The outage. Its schedule goes on in a relapse, if dials still wait.
	down     bool // the target is backing off
	probing  bool // a probe is in flight
	next     Next // nil: a new schedule
	failedAt int
	delay    int
	due      int // when delay is over

	// After the target has answered, a failure halves the window. It begins an outage only if no
	// attempt has succeeded since the last such failure.
	progress bool
}

// burst is the Burst of a Gate by default.
const burst = 16

// acquire queues a dial at the Gate of its process.
func (s *simulation) acquire(event int) {
	process := event / s.Dials
	g := &s.gates[process]
	if g.window == 0 {
		g.window = burst
		if s.now < s.up { // the first dials go together, and are all refused
			s.count(min(burst, s.Dials) - 1)
		}
	}
	g.waiting = append(g.waiting, int32(event))
	if g.down {
		s.plan(process) // one more waits, so the next probe may be due sooner
		return
	}
	s.admit(process)
}

// admit lets dials go as far as the window allows. The failures of dials that go at the same time
// halve the window only once.
func (s *simulation) admit(process int) {
	g := &s.gates[process]
	for !g.down && g.flying < g.window && len(g.waiting) > 0 {
		n := min(g.window-g.flying, len(g.waiting))
		admitted := g.waiting[:n]
		g.waiting = g.waiting[n:]
		g.flying += n
		slowed := false
		for _, event := range admitted {
			if s.attempt(int(event)) {
				continue
			}
			g.flying--
			if !g.down && (g.progress || slowed) {
				if g.progress {
					g.window = max(g.window/2, 1)
				}
				g.progress, slowed = false, true
				s.waitAlone(int(event))
				continue
			}
			g.waiting = append(g.waiting, event)
			if g.down {
				s.plan(process)
				continue
			}
			s.fail(process)
		}
	}
}

// probe makes the next probe of a target that is backing off.
func (s *simulation) probe(process int) {
	g := &s.gates[process]
	event := int(g.waiting[0])
	g.waiting = g.waiting[1:]
	if s.attempt(event) {
		g.flying++
		g.probing = true
		return
	}
	g.waiting = append(g.waiting, int32(event))
	s.fail(process)
}

// fail begins or continues an outage.
func (s *simulation) fail(process int) {
	g := &s.gates[process]
	if !g.down || s.now >= g.due {
		if g.next == nil {
			g.next = s.schedule.New()
		}
		g.delay = ticks(g.next())
		g.due = s.now + g.delay
	}
	g.down, g.progress = true, false
	g.failedAt = s.now
	s.plan(process)
}

// plan sets the time of the next probe.
func (s *simulation) plan(process int) {
	g := &s.gates[process]
	if g.probing || len(g.waiting) == 0 {
		return
	}
	interval := ticks(s.schedule.Gate)
	at := max(g.due, g.failedAt+min(g.delay, interval))
	if n := len(g.waiting); n > 1 {
		at = max(g.failedAt+g.delay/n, g.failedAt+interval)
	}
	s.probeAt(max(at, s.now), process)
}

// succeeded tells the Gate that the server has accepted the connection of an attempt.
func (s *simulation) succeeded(process int) {
	g := &s.gates[process]
	if g.flying >= g.window || len(g.waiting) > 0 {
		g.window++
	}
	g.flying--
	g.progress = true
	if g.down {
		g.down, g.probing = false, false
		g.window = g.flying + 2
		s.cancelProbe(process)
	}
	s.admit(process)
	if len(g.waiting) == 0 {
		g.next = nil
	}
}
