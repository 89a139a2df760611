// Package redialprom counts and times what a [redial.Dialer] does, for Prometheus:
//
//	m := redialprom.New(redialprom.Opts{})
//	prometheus.MustRegister(m)
//	m.Instrument(d, "postgres") // for each Dialer of the program
//
// Every metric has the label dialer, with the name that the program gave. The other labels
// have few values, and never an address:
//
//	redial_dials_total{outcome}              counter    dials that have ended
//	redial_nested_dials_total{outcome}       counter    nested dials, if the outer dial has the same name
//	redial_dials_stopped_total{stop}         counter    failed dials, by why they made no other attempt
//	redial_dials_in_progress                 gauge      dials that have begun and not ended
//	redial_dial_duration_seconds{result}     histogram  time of a dial, with its attempts and its waits
//	redial_attempts_total{outcome}           counter    attempts to connect
//	redial_attempts_shared_total             counter    failures of other dials' attempts, shared at a redial.Gate
//	redial_attempt_duration_seconds{result}  histogram  time of an attempt, with name resolution and Verify
//	redial_lookup_duration_seconds{result}   histogram  time of resolving a name, within an attempt
//	redial_lookups_unanswered_total{family}  counter    look-ups in which a family's DNS query had no answer
//	redial_addresses_tried_total{family,outcome} counter addresses that attempts have tried
//	redial_connections_lost_total{outcome}   counter    connections that redial.Reconnect has lost
//	redial_connection_duration_seconds{result} histogram how long these connections lasted
//
// The label outcome is ok or the name of a [redial.Class]. The outcome of a dial is the Class of
// its [redial.Result]. A dial that its caller has canceled is canceled, even if its attempts were
// refused. A dial that panicked is unknown. The outcome of a lost connection is the Class of its
// [redial.Loss]; it is canceled if the caller had given up. The label result is ok, failed or
// canceled, because each value costs a series for each bucket.
//
// The label stop is the name of the dial's [redial.Stop]: permanent (the Policy does not retry the
// class), schedule_ended, max_attempts, max_elapsed, deadline or canceled. It is panic if a panic or
// runtime.Goexit ended the dial. If a dial may make only one attempt, and that attempt fails in time,
// the label is max_attempts if the Policy retries the class, else permanent.
//
// The label family is ipv4, ipv6, unix or other. Each address of a name that is raced counts. An
// address that was still in flight when another one won is canceled. An attempt that raced no
// addresses counts with the remote address of its connection, or with the address in its error;
// if there is none, as when a name was not found, it does not count.
//
// If a dial takes another dial's failure at a Gate ([redial.Attempt].Shared), it opens no socket. Only
// redial_attempts_shared_total counts this attempt. The other metrics count the other dial's attempt.
//
// If a nested dial (see package redial) has the same name as the outer dial, neither it nor its attempts
// count beside the outer dial. Only redial_nested_dials_total counts it. Its look-up and its addresses
// count, in place of an address of the outer dial's attempt. A nested dial with another name, such as a
// proxy's, counts as any other dial.
//
// The counters begin at zero, except redial_nested_dials_total and redial_addresses_tried_total. These and
// the histograms appear when they are first used. The histograms have classic buckets, and native buckets
// for a Prometheus server that scrapes these. A name has 143 series of histograms at most.
package redialprom
