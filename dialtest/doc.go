// Package dialtest provides a scripted dialer, to test what a program does when the network fails.
// Each dial ends as the script says: it fails with the error of a real dial, or connects in memory.
//
// Pass the scripted dialer's DialContext to the program where it takes a dial function, such as
// DialFunc of redial.Dialer or DialContext of http.Transport:
//
//	script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.Timeout, dialtest.OK)
//	dialer := &redial.Dialer{DialFunc: script.DialContext}
//
// Use the scripted dialer in a testing/synctest bubble to check delays. Minutes of backoff then
// take no real time, and their measured lengths are exact:
//
//	func TestTriesEveryMinute(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			script := dialtest.Script(dialtest.Refuse.Times(3), dialtest.OK).FailTest(t)
//			client, err := start(t.Context(), script.DialContext, time.Minute, zap.NewNop()) // the program's own
//			require.NoError(t, err)
//			assert.Equal(t, []time.Duration{time.Minute, time.Minute, time.Minute}, script.Delays())
//
//			client.stop()
//			assert.Empty(t, script.Open())
//		})
//	}
//
// Such a test shows how the program reacts to failures. It does not show how a real network fails.
package dialtest
