package cli

import (
	"fmt"
	"time"
)

// Count returns "1 attempt", "2 attempts" and so on.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Age returns a time that may be long in its largest unit: "3 days".
func Age(d time.Duration) string {
	switch hours := int(d.Hours()); {
	case hours >= 48:
		return Count(hours/24, "day")
	case hours >= 2:
		return Count(hours, "hour")
	}
	return Count(int(d.Minutes()), "minute")
}
