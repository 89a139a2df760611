package redial

import (
	"context"
	"net"
	"time"
)

type queryLog struct{}

func newQueryLog(time.Duration) *queryLog                       { return &queryLog{} }
func (q *queryLog) context(ctx context.Context) context.Context { return ctx }
func (q *queryLog) unanswered() string                          { return "" }
func (q *queryLog) doubtful() (server string, silent, ok bool)  { return "", false, false }
func resolverFor(r *net.Resolver) *net.Resolver {
	if r == nil {
		return net.DefaultResolver
	}
	return r
}
