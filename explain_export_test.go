package redial

// ExplainOn is Explain on the system of that name: golden files are of one.
func ExplainOn(err error, goos string) string { return explain(err, goos) }
