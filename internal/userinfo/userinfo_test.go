package userinfo_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/internal/userinfo"
)

func TestHide(t *testing.T) {
	for _, test := range []struct{ network, address, want string }{
		{"tcp", "db.example:5432", "db.example:5432"},
		{"tcp", "[fe80::1%eth0]:80", "[fe80::1%eth0]:80"},
		{"tcp", "", ""},
		{"tcp", "user:secret@db:5432", "...@db:5432"},
		{"amqp", "amqp://user:secret@mq:5672/vhost", "amqp://...@mq:5672/vhost"},
		{"amqp", "amqp://user@mq", "amqp://...@mq"},
		{"amqp", "amqp://mq:5672/vhost", "amqp://mq:5672/vhost"},
		{"amqp", "amqp://@mq", "amqp://@mq"},
		{"mysql", "user:secret@tcp(db:3306)/shop", "...@tcp(db:3306)/shop"},
		{"mysql", "user:s@c/r://et@tcp(db:3306)/shop", "...@tcp(db:3306)/shop"},
		{"postgres", "postgres://user:12/se@cr?et#@db/shop", "postgres://...@db/shop"},
		{"http", "https://files.example/@scope/name", "https://...@scope/name"},
		{"unix", "/run/user@1000/bus", "/run/user@1000/bus"},
		{"unixgram", "@abstract@name", "@abstract@name"},
		{"tcp", "@abstract", "@abstract"},
	} {
		assert.Equal(t, test.want, userinfo.Hide(test.network, test.address))
	}
}

func TestHideIn(t *testing.T) {
	const address = "amqp://me:secret@mq:5672/"
	assert.Equal(t, "address amqp://...@mq:5672/: too many colons", userinfo.HideIn("address "+address+": too many colons", "tcp", address))
	assert.Equal(t, "connection refused", userinfo.HideIn("connection refused", "tcp", address))
	assert.Equal(t, "no host", userinfo.HideIn("no host", "tcp", ""))
}
