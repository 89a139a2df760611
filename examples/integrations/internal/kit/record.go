package kit

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
)

// recordVariable is the environment variable with the path of a file, to which each test appends
// what it has measured. Command tables makes the tables of the documentation from it.
const recordVariable = "REDIAL_RECORD"

// A Measurement is what a client did in one situation, alone and with redial.
type Measurement struct{ Client, Situation, Alone, Redial string }

// record logs what the client did, and writes it to the file that recordVariable names.
func (s Suite) record(t *testing.T, situation, alone, ours string) {
	t.Helper()
	t.Logf("%s, %s: alone %s, with redial %s", s.Client, situation, alone, ours)
	name := os.Getenv(recordVariable)
	if name == "" {
		return
	}
	line, err := json.Marshal(Measurement{s.Client, situation, alone, ours})
	assert.NoError(t, err)
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if assert.NoError(t, err) {
		_, err = file.Write(append(line, '\n')) // whole lines, although several processes append
		assert.NoError(t, err)
		assert.NoError(t, file.Close())
	}
}
