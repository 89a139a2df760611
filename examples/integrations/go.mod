module github.com/seed-33f8b841/redial/examples/integrations

go 1.26.0

replace github.com/seed-33f8b841/redial => ../..

require (
	github.com/redis/go-redis/v9 v9.23.0
	github.com/seed-33f8b841/redial v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/zap v1.28.0
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.48.0 // indirect
)
