package dulyprom_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	dulyprom "github.com/dulyhq/duly/telemetry/prometheus"
)

// grep prints the lines of a scrape that begin with one of some words.
func grep(reg prometheus.Gatherer, words ...string) {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		for _, word := range words {
			if strings.HasPrefix(line, word) {
				fmt.Print(line)
			}
		}
	}
}

func Example() {
	s, err := duly.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	ran := make(chan struct{})
	remind := duly.Handle(s, "remind", func(context.Context, *duly.Attempt[string]) error { close(ran); return nil })
	prometheus.MustRegister(dulyprom.New(s)) // and promhttp.Handler() serves it

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if _, err := remind.Put(ctx, "tea", "it is ready", schedule.After(time.Millisecond)); err != nil {
		fmt.Println(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	<-ran
	stop()
	fmt.Println("run:", <-ended)

	grep(prometheus.DefaultGatherer, "duly_up", "duly_attempts_started", "duly_runs_succeeded", "duly_lateness_seconds_count")
	// Output:
	// run: <nil>
	// duly_attempts_started_total{kind="remind"} 1
	// duly_lateness_seconds_count{kind="remind"} 1
	// duly_runs_succeeded_total{kind="remind"} 1
	// duly_up 1
}

// Two schedulers in one process, told apart by a label.
func ExampleNew() {
	reg := prometheus.NewRegistry()
	for _, name := range []string{"mail", "reports"} {
		s, err := duly.New()
		if err != nil {
			fmt.Println(err)
			return
		}
		k := duly.Declare[string](s, name)
		if _, err := k.Put(context.Background(), "first", "", schedule.After(time.Hour)); err != nil {
			fmt.Println(err)
		}
		prometheus.WrapRegistererWith(prometheus.Labels{"scheduler": name}, reg).MustRegister(dulyprom.New(s))
	}
	grep(reg, "duly_tasks{")
	// Output:
	// duly_tasks{scheduler="mail"} 1
	// duly_tasks{scheduler="reports"} 1
}

// A scrape of a store that is gone is no error. It says that duly is not up.
func ExampleTimeout() {
	s, err := duly.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	reg := prometheus.NewRegistry()
	quiet := slog.New(slog.DiscardHandler)
	reg.MustRegister(dulyprom.New(s, dulyprom.Timeout(time.Second), dulyprom.Logger(quiet)))
	if err := s.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	grep(reg, "duly_up", "duly_scrape")
	// Output:
	// duly_scrape_failures_total 1
	// duly_up 0
}
