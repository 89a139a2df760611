//go:build unix

package main

import (
	"fmt"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/bench/internal/fleet"
)

// A failureKind is a way in which attempts fail. DefaultPolicy has a schedule for its class.
type failureKind struct {
	name    string
	class   redial.Class
	failure fleet.Failure
}

var failureKinds = []failureKind{
	{"refused, or no route: at once", redial.Refused, fleet.Failure{}},
	{"unreachable: the host is silent on its own network (ARP asks 3 times, 1 s apart)", redial.Unreachable,
		fleet.Failure{Takes: 3 * time.Second, Sends: seconds(1, 2)}},
	{"timeout: after 10 s (SYN sent at 0, 1, 3 and 7 s)", redial.Timeout,
		fleet.Failure{Takes: 10 * time.Second, Sends: seconds(1, 3, 7)}},
	{"dns: the DNS server is silent (asked at 0 and 5 s)", redial.DNS,
		fleet.Failure{Takes: 10 * time.Second, Sends: seconds(5)}},
}

func seconds(all ...int) []time.Duration {
	var durations []time.Duration
	for _, s := range all {
		durations = append(durations, time.Duration(s)*time.Second)
	}
	return durations
}

// classTables compares schedules for failures of each kind.
func classTables() []*table {
	var all []*table
	for _, kind := range failureKinds {
		t := newTable(fmt.Sprintf("A single dial, %s", kind.name), schedulesNames(classCandidates(kind.class)), plain("attempts in 30 s", count))
		for _, down := range classDowns {
			t.columns = append(t.columns, plain(fmt.Sprintf("down %v: mean, worst", down), nanoseconds))
		}
		all = append(all, t)
	}
	return all
}

var classDowns = seconds(2, 5, 10, 20)

// classCandidates returns the schedules to compare for class. The first is the one in DefaultPolicy.
func classCandidates(class redial.Class) []fleet.Schedule {
	const ms, sec = time.Millisecond, time.Second
	ours := fleet.Default(class)
	return []fleet.Schedule{ours, fleet.Exponential(50*ms, sec), fleet.Exponential(100*ms, sec), fleet.Exponential(100*ms, 2*sec),
		fleet.Exponential(100*ms, 5*sec), fleet.Exponential(500*ms, 30*sec)}
}

// compareClasses fills the tables, each value from n dials.
func compareClasses(tables []*table, n int) {
	for i, kind := range failureKinds {
		t := tables[i]
		for _, s := range classCandidates(kind.class) {
			attempts := 0
			for range n {
				attempts += fleet.Attempts(s.New(), 30*time.Second, kind.failure)
			}
			t.columns[0].add(s.Name, float64(attempts)/float64(n))
			for j, down := range classDowns {
				t.columns[j+1].addRecovery(s, down, kind.failure, n)
			}
		}
	}
}
