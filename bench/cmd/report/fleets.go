//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/bench/internal/fleet"
)

// fleets is made in the given number of rounds: virtual time does not drift.
func fleets(s scope, rounds int) *measurement {
	const ms, sec = time.Millisecond, time.Second
	f := fleet.Fleet{Processes: 10_000, Dials: 50, Spread: sec, Down: time.Minute, Rate: 2000, Queue: 512, End: time.Hour}
	if s.small {
		f = fleet.Fleet{Processes: 200, Dials: 20, Spread: sec, Down: 5 * sec, Rate: 200, Queue: 50, End: 2 * time.Minute}
	}
	ours := fleet.Default(redial.Refused)
	ours.Name = "redial's Refused"
	peers := append([]fleet.Schedule{ours}, fleet.Peers...)
	candidates := []fleet.Schedule{
		fleet.Exponential(50*ms, sec), fleet.Exponential(50*ms, 2*sec), fleet.Exponential(100*ms, 5*sec),
		fleet.Exponential(250*ms, 5*sec), fleet.Exponential(250*ms, 10*sec), fleet.Exponential(500*ms, 30*sec),
		fleet.FullJitter(100*ms, 5*sec), fleet.Decorrelated(100*ms, 5*sec),
	}
	newFleet := func(title string, schedules []fleet.Schedule) *table {
		return newTable(title, schedulesNames(schedules), plain("connects/s, last 10 s down", count), plain("most in 1 s after the return", count),
			plain("connects/s, first 10 s back", count), plain("all connected after", nanoseconds), plain("first of a process, mean", nanoseconds), plain("worst", nanoseconds))
	}
	fleetTables := []*table{newFleet("The peers' default schedules, without their limits", peers), newFleet("Other schedules", candidates)}
	downs := []time.Duration{sec / 2, sec, 2 * sec, 5 * sec, 10 * sec}
	newRecovery := func(title string, schedules []fleet.Schedule) *table {
		t := newTable(title, schedulesNames(schedules))
		for _, down := range downs {
			t.columns = append(t.columns, plain(fmt.Sprintf("down %v: mean, worst", down), nanoseconds))
		}
		return t
	}
	recoveries := []*table{newRecovery("A single dial: how long after the server's return it connects", peers), newRecovery("The same, other schedules", candidates)}
	byClass := classTables()
	means := map[string][]float64{}
	perSecond := map[string][]int{} // of the last run

	once := func(s scope, round int) error {
		type job struct {
			t        *table
			schedule fleet.Schedule
		}
		jobs := make(chan job)
		var all sync.WaitGroup
		var mu sync.Mutex
		for range 2 {
			all.Go(func() {
				for j := range jobs {
					r := f.Simulate(j.schedule, rand.New(rand.NewPCG(uint64(round), 1)))
					mu.Lock()
					addFleet(j.t, j.schedule.Name, f, r)
					perSecond[j.schedule.Name] = r.PerSecond
					mu.Unlock()
				}
			})
		}
		for i, schedules := range [][]fleet.Schedule{peers, candidates} {
			for _, schedule := range schedules {
				jobs <- job{fleetTables[i], schedule}
			}
		}
		close(jobs)
		all.Wait()
		if round > 0 {
			return nil
		}
		for i, schedules := range [][]fleet.Schedule{peers, candidates} {
			for _, schedule := range schedules {
				for j, down := range downs {
					mean := recoveries[i].columns[j].addRecovery(schedule, down, fleet.Failure{}, pick(s, 20_000, 500))
					means[schedule.Name] = append(means[schedule.Name], mean/1e9)
				}
			}
		}
		compareClasses(byClass, pick(s, 20_000, 500))
		return nil
	}
	return &measurement{
		title: "A fleet, in virtual time",
		about: fmt.Sprintf("%d processes of %d dials each lose their server within %v. It is down for %v: it refuses at once. Then it accepts %d connections a second, with a queue of %d; "+
			"more are refused. All dials of a process begin together. This is a simulation of schedules (internal/fleet): TestSchedules compares each schedule with the peer's own loop, and "+
			"TestSimulate compares the simulation with redial's own dials. A Gate is not simulated; docs/gate.md has what Gates make of a smaller fleet. Each round has other random numbers. The simulated network and scheduler add no delays of their own, so a "+
			"schedule without jitter keeps its dials together for ever; real ones would spread them a little. The simulation ends after %v.", f.Processes, f.Dials, f.Spread, f.Down, f.Rate, f.Queue, f.End),
		rounds: rounds,
		once:   once,
		tables: slices.Concat(fleetTables, recoveries, byClass),
		plots: func() map[string]string {
			shown := []string{"redial's Refused", "backoff v5", "failsafe-go, backoff", "go-retry"}
			var fleets, lone []line
			for _, name := range shown {
				l := line{name: name, isOurs: name == ours.Name}
				for second, n := range perSecond[name][:min(len(perSecond[name]), int(2*f.Down/sec))] {
					l.XYs = append(l.XYs, plotter.XY{X: float64(second), Y: float64(n)})
				}
				fleets = append(fleets, l)
			}
			for _, schedule := range append(peers[:len(peers):len(peers)], fleet.Exponential(50*ms, sec)) {
				if schedule.Name == "go-retryablehttp" {
					continue // in outages of this length, the same as failsafe-go's backoff
				}
				l := line{name: schedule.Name, isOurs: schedule.Name == ours.Name}
				for i, down := range downs {
					l.XYs = append(l.XYs, plotter.XY{X: down.Seconds(), Y: means[schedule.Name][i]})
				}
				lone = append(lone, l)
			}
			return map[string]string{
				"fleet.svg": figure{title: fmt.Sprintf("%s dials at a server that is down for %s", count(float64(f.Processes*f.Dials)), nanoseconds(float64(f.Down))), x: "seconds since the server went down",
					y: "connects a second", isLog: true, isSteps: true, event: "the server returns", at: f.Down.Seconds()}.lines(fleets),
				"recovery.svg": figure{title: "A single dial: how long after the server's return it connects", x: "seconds down", y: "mean, seconds"}.lines(lone),
			}
		},
		quotes: []quote{{key: "lone dial", t: recoveries[0], rows: []string{"redial's Refused", "backoff v5"}, columns: []string{"down 5s: mean, worst"}}},
		after: "By their own limits, some of these dials would not live to see the server's return after a minute: redial gives up after 30 s, retry-go after 10 attempts (51 s), failsafe-go after 3 attempts " +
			"(at once), go-retryablehttp after 5 (15 s). backoff gives up after 15 minutes. go-retry never does.\n\n" +
			"All peers are ahead of redial in the load on a server that is down for long: without a Gate, redial's dials try each second at the latest. " +
			"That is why redial's single dial is the first to learn of the return, and why many dials of a process should share a Gate (docs/gate.md). backoff's delays grow to 60 s, so its dials learn of the return later. " +
			"The schedules without jitter (go-retry's, failsafe-go's backoff, go-retryablehttp's) make few connects a second on average, but all in the same second. " +
			"Both go-retry and failsafe-go offer jitter; it is not their default.",
	}
}

func schedulesNames(schedules []fleet.Schedule) []string {
	var all []string
	for _, s := range schedules {
		all = append(all, s.Name)
	}
	return all
}

func addFleet(t *table, name string, f fleet.Fleet, r fleet.Result) {
	down := int(f.Down / time.Second)
	mean, worst := r.Firsts()
	values := []float64{r.Mean(down-min(10, down), down), float64(r.Peak(down)), r.Mean(down, down+10), float64(r.Last), float64(mean), float64(worst)}
	for i, value := range values {
		t.columns[i].add(name, value)
	}
	if lost := f.Processes*f.Dials - r.Connected; lost > 0 {
		t.columns[3].absent[name] = fmt.Sprintf("%s not within %v", count(float64(lost)), f.End)
	}
}

// addRecovery simulates n lone dials, and adds to c the mean and the worst time from the server's
// return to the connection. It returns the mean in nanoseconds. Each dial's server is down for about
// the given time, up to 20 % more or less: otherwise a schedule without jitter would be lucky each time,
// or unlucky each time.
func (c *column) addRecovery(s fleet.Schedule, down time.Duration, f fleet.Failure, n int) float64 {
	random := rand.New(rand.NewPCG(1, 1))
	mean, worst := 0.0, 0.0
	for range n {
		took, _ := fleet.Recovery(s.New(), time.Duration(float64(down)*(0.8+0.4*random.Float64())), f)
		mean += float64(took) / float64(n)
		worst = max(worst, float64(took))
	}
	c.absent[s.Name] = nanoseconds(mean) + ", " + nanoseconds(worst)
	c.add(s.Name, mean)
	return mean
}
