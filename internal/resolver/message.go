package resolver

import (
	"bytes"
	"encoding/binary"
)

// This file reads as much of a DNS message (RFC 1035, section 4.1) as is needed to judge an answer as Go's
// resolver does. A message can be anything, so all offsets are checked.

// An outcome is what the latest query for a question led to.
type outcome uint8

const (
	noAnswer  outcome = iota // or a truncated one
	badAnswer                // neither yes nor no, or an error of the connection
	answerNo                 // no such name, or no record of that type
	answerYes
)

// The types of records that an address look-up asks for, and the one that holds a longer rcode (RFC 6891).
const (
	recordA    = 1
	recordAAAA = 28
	recordOPT  = 41
)

const headerLen = 12

// field returns the 16-bit number at off.
func field(message []byte, off int) int { return int(binary.BigEndian.Uint16(message[off:])) }

// firstOf returns the first message of a stream, where its length precedes it (section 4.2.2).
func firstOf(stream []byte) (message []byte, complete bool) {
	if len(stream) < 2 || len(stream) < 2+field(stream, 0) {
		return nil, false
	}
	return stream[2 : 2+field(stream, 0)], true
}

// skipName returns the offset after the name at off.
func skipName(message []byte, off int) (end int, ok bool) {
	for off < len(message) {
		switch n := int(message[off]); {
		case n == 0:
			return off + 1, true
		case n >= 0xc0: // the rest of the name is elsewhere (section 4.1.4)
			return off + 2, true
		case n >= 0x40:
			return 0, false // reserved
		default:
			off += 1 + n
		}
	}
	return 0, false
}

// questionOf returns the first question of a message.
func questionOf(message []byte) (text []byte, ok bool) {
	if len(message) < headerLen || field(message, 4) == 0 {
		return nil, false
	}
	end, ok := skipName(message, headerLen)
	if !ok || end+4 > len(message) {
		return nil, false
	}
	return message[headerLen : end+4], true
}

// isAnswer reports whether message answers query. As in the resolver, the case of letters in names does not
// matter. (EqualFold also matches some letters outside ASCII. They have more bytes, so the lengths differ.)
func isAnswer(message, query []byte) bool {
	got, ok := questionOf(message)
	want, _ := questionOf(query)
	if !ok || len(got) != len(want) || !bytes.Equal(message[:2], query[:2]) || message[2]&0x80 == 0 {
		return false
	}
	name := len(want) - 4
	return bytes.EqualFold(got[:name], want[:name]) && bytes.Equal(got[name:], want[name:])
}

// judge returns the outcome of an answer to q. It does not follow pointers in names, so it can take an answer for a
// yes that the resolver finds malformed. Then the resolver asks again, and the log starts anew.
func judge(message []byte, q *question) outcome {
	answers := field(message, 6)
	records := answers + field(message, 8) + field(message, 10)
	rcode := int(message[3] & 0xf)
	var found, additional bool
	read, off := 0, headerLen+len(q.text)
	for ; read < records; read++ {
		data, ok := skipName(message, off)
		data += 10 // type, class, time to live, length
		if !ok || data > len(message) {
			break
		}
		kind := field(message, data-10)
		off = data + field(message, data-2)
		switch {
		case read < answers:
			if kind == int(q.kind()) {
				found = true
			}
		case read >= records-field(message, 10):
			additional = true
			if version := message[data-5]; kind == recordOPT && version == 0 {
				rcode |= int(message[data-6]) << 4
			}
		}
		if off > len(message) {
			break
		}
	}
	const nxdomain = 3
	authoritative, recursive := message[2]&4 != 0, message[3]&0x80 != 0
	lame := answers == 0 && !additional && !authoritative && !recursive // a referral to another server
	switch {
	case field(message, 4) != 1:
		return badAnswer
	case rcode == nxdomain:
		return answerNo
	case rcode != 0 || lame || read < answers && !found:
		return badAnswer
	case found:
		return answerYes
	default:
		return answerNo
	}
}
