module github.com/dulyhq/duly/bench

go 1.26.0

replace github.com/dulyhq/duly => ../

require (
	github.com/adhocore/gronx v1.20.4
	github.com/dulyhq/duly v0.0.0-00010101000000-000000000000
	github.com/go-co-op/gocron/v2 v2.21.2
	github.com/google/go-cmp v0.7.0
	github.com/google/uuid v1.6.0
	github.com/netresearch/go-cron v0.9.1
	github.com/reugn/go-quartz v0.15.2
	github.com/robfig/cron/v3 v3.0.1
	golang.org/x/sync v0.24.0
)

require (
	github.com/jonboulle/clockwork v0.5.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
