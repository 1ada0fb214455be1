// Package dulyprom shows Prometheus what a [duly.Scheduler] has counted: starts and outcomes by kind, lateness in its parts, what
// the store keeps, and whether it answers. It is not for a span or a log line per attempt; for the former there is telemetry/otel.
// The central type is [Collector].
//
//	prometheus.MustRegister(dulyprom.New(s))
//
// It keeps no counters of its own: a scrape asks [duly.Scheduler.Stats], which costs what that costs, whatever the number of tasks. What
// each metric means is in docs/telemetry.md; beside this package lie a board for Grafana, grafana/duly.json, and alert rules, alerts.yml.
//
// Several schedulers in one process are told apart by a label of the registerer:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"scheduler": "mail"}, reg).MustRegister(dulyprom.New(mail))
//
// # On failure
//
// A store that fails, or that does not answer in time, is no error of the scrape: duly_up is 0, what the store would have told is
// left out, and what the scheduler counts by itself is there if it can be had.
package dulyprom
