package redial

import "time"

type Gate struct {
	Burst       int
	MinInterval time.Duration
}
type targetKey struct {
	network, address string
	do               bool
}
type visit struct{ route *route }
type verdict int

const (
	sleeps verdict = iota
	queues
	goes
	hears
	ends
)

func (g *Gate) enter(key targetKey, end time.Time, done, cancel <-chan struct{}) *visit {
	return &visit{}
}
func (v *visit) leave()                                              {}
func (v *visit) acquire(due time.Time, last bool) (verdict, Attempt) { return goes, Attempt{} }
func (v *visit) endBy(end time.Time)                                 {}
func (v *visit) succeeded()                                          {}
func (v *visit) failed(a *Attempt)                                   {}
func (v *visit) release()                                            {}
func (g *Gate) Reset(network, address string)                        {}
