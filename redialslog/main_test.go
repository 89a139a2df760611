package redialslog_test

import (
	"testing"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }
