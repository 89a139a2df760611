// Package dialtest has a scripted dialer, for tests of what a program does when
// the network fails: it fails as the script says, with the errors that a real
// dial would return, and connects in memory.
//
// Put its DialContext where the program takes a dialer, such as DialFunc of
// redial.Dialer, or DialContext of http.Transport:
//
//	script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.Timeout, dialtest.OK)
//	dialer := &redial.Dialer{DialFunc: script.DialContext}
//
// It keeps to the clock and the goroutines of a testing/synctest bubble that it
// is made in, so that minutes of backoff take no time and come out exact:
//
//	func TestTriesEveryMinute(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			script := dialtest.Script(dialtest.Refuse.Times(3), dialtest.OK).FailTest(t)
//			client, err := start(t.Context(), script.DialContext, time.Minute) // the program's own
//			require.NoError(t, err)
//			assert.Equal(t, []time.Duration{time.Minute, time.Minute, time.Minute}, script.Delays())
//
//			client.stop()
//			assert.Empty(t, script.Open())
//		})
//	}
//
// No test of this kind says that a real network behaves so: it says what the
// program makes of it.
package dialtest
