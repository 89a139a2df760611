module github.com/seed-33f8b841/redial/examples/metrics

go 1.26.0

replace (
	github.com/seed-33f8b841/redial => ../..
	github.com/seed-33f8b841/redial/redialprom => ../../redialprom
)

require (
	github.com/prometheus/client_golang v1.25.0
	github.com/seed-33f8b841/redial v0.0.0
	github.com/seed-33f8b841/redial/redialprom v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/zap v1.28.0
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.48.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
