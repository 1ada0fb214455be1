package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
)

// shown returns the instants of a preview in short, with their marks.
func shown(p *api.Preview) (all []string) {
	for _, o := range p.Occurrences {
		s := o.At.Format("01-02T15:04:05Z07:00")
		if len(o.Marks) > 0 {
			s += " " + strings.Join(o.Marks, ",")
		}
		if !o.At.Equal(o.UTC) {
			s += " is not " + o.UTC.String()
		}
		all = append(all, s)
	}
	return all
}

func TestPreview(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for _, c := range []struct {
			schedule, query string
			want            []string
			never           bool
		}{
			{"every 1h", "n=2", []string{"01-01T01:00:00Z", "01-01T02:00:00Z"}, false},
			{"in 5m", "", []string{"01-01T00:05:00Z"}, false},
			{"in 0s", "", []string{"01-01T00:00:00Z"}, false},
			{"at 2000-01-01T00:00:00Z", "", nil, true},
			{"at 2000-01-01T00:00:01Z", "", []string{"01-01T00:00:01Z"}, false},
			{"at 1999-01-01T00:00:00Z", "", nil, true},
			{"pace 10m", "n=2", []string{"01-01T00:10:00Z", "01-01T00:20:00Z"}, false},
			{"every 1h times 2", "", []string{"01-01T01:00:00Z", "01-01T02:00:00Z"}, false},
			{"every 1h until 2000-01-01T02:00:00Z", "from=2000-01-01T02:00:00Z", nil, true},
			{"cron 0 9 * * *", "n=1&zone=Europe/Berlin", []string{"01-01T09:00:00+01:00"}, false},
			{"calendar *-*-* 09:00:00", "n=1&zone=Europe/Berlin", []string{"01-01T09:00:00+01:00"}, false},
			{"cron 30 2 * * * in Europe/Berlin", "from=2027-03-27T12:00:00Z&n=2", []string{"03-28T03:00:00+02:00 gap-moved", "03-29T02:30:00+02:00"}, false},
			{
				"cron 30 2 * * * in Europe/Berlin fold both", "from=2027-10-30T12:00:00Z&n=2",
				[]string{"10-31T02:30:00+02:00", "10-31T02:30:00+01:00 fold-second"},
				false,
			},
			{"cron 0 12 * * * except (cron * * 2 1 *)", "n=2", []string{"01-01T12:00:00Z", "01-02T12:00:00Z excluded", "01-03T12:00:00Z"}, false},
			{"cron * * * * * except (cron * * 1 1 *)", "n=1&until=2000-01-01T00:03:00Z", []string{
				"01-01T00:01:00Z excluded", "01-01T00:02:00Z excluded", "01-01T00:03:00Z excluded",
			}, false},
			{"cron 0 0 1 1 * except (cron 0 0 1 1 *)", "until=2001-01-01T00:00:00Z", []string{"01-01T00:00:00Z excluded"}, true},
			{"cron 0 0 30 2 *", "", nil, true},
			{"every 1h", "until=2000-01-01T00:30:00Z", nil, false},
			{"cron 0 9 * * *", "from=2000-01-01T09:00:00Z&n=1", []string{"01-02T09:00:00Z"}, false},
		} {
			query := "/v1/preview?schedule=" + url.QueryEscape(c.schedule) + "&" + c.query
			p := read[api.Preview](e.do("GET", query, "").want(http.StatusOK))
			is(t, query, shown(p), c.want)
			is(t, "never of "+query, p.Never, c.never)
			is(t, "canonical", strings.TrimSuffix(p.Schedule, " in Europe/Berlin"), strings.TrimSuffix(c.schedule, " in Europe/Berlin"))
			if p.Words == "" || p.Zone == "" {
				t.Errorf("%s: %+v", query, p)
			}
		}
		e.do("GET", "/v1/preview?zone=Asia/Tokyo&schedule="+url.QueryEscape("at 9999-12-31T23:59:00Z"), "").want(http.StatusOK)
		e.do("GET", "/v1/preview?zone=America/New_York&from=0000-01-01T00:00:00Z&schedule="+url.QueryEscape("cron * * * * *"), "").want(http.StatusOK)
		p := read[api.Preview](e.do("GET", "/v1/preview?n=1000&schedule="+url.QueryEscape("cron * * * * * except (cron * 0-11 * * *)"), "").want(http.StatusOK))
		if n := len(p.Occurrences); n < 1000 || n > 1400 {
			t.Errorf("%d occurrences of 1000 and those that are left out", n)
		}
		one := e.do("GET", "/v1/preview?name=a&schedule="+url.QueryEscape("cron H 9 * * *"), "").body
		if two := e.do("GET", "/v1/preview?name=b&schedule="+url.QueryEscape("cron H 9 * * *"), "").body; one == two {
			t.Error("two names have the same H")
		}
		for query, field := range map[string]string{
			"": "schedule", "schedule=": "schedule", "schedule=every+day": "schedule", "schedule=every+1h&n=0": "n", "schedule=every+1h&n=1001": "n",
			"schedule=in+-5m": "schedule", "schedule=every+1h&from=now": "from", "schedule=every+1h&until=1999-01-01T00:00:00Z": "until",
			"schedule=cron+0+9+*+*+*&zone=Nowhere": "zone", "schedule=every+1h&zone=Local": "zone", "schedule=every+1h&zone=../../etc/passwd": "zone",
		} {
			e.do("GET", "/v1/preview?"+query, "").want(http.StatusBadRequest).problem("invalid", field)
		}
	})
}

func TestPreview_OfTasks(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(nil)
		preview := func(name, query string) *api.Preview {
			t.Helper()
			return read[api.Preview](e.do("GET", "/v1/tasks/"+name+"/preview?"+query, "").want(http.StatusOK))
		}
		put := func(name, when string) {
			e.do("PUT", "/v1/tasks/"+name, `{"kind": "done", `+when+`}`).want(http.StatusCreated)
		}
		put("every", `"every": "1h"`)
		put("moved", `"every": "1h"`)
		put("times", `"schedule": "every 1h times 3"`)
		put("pace", `"schedule": "pace 1h times 3"`)
		put("once", `"in": "5h"`)
		put("cron", `"cron": "30 2 * * *", "zone": "Europe/Berlin"`)
		e.pass(90 * time.Minute) // each has run once
		e.do("PATCH", "/v1/tasks/moved", `{"at": "2000-01-01T01:45:00Z"}`).want(http.StatusOK)
		is(t, "every", shown(preview("every", "n=2")), []string{"01-01T02:00:00Z", "01-01T03:00:00Z"})
		is(t, "moved", shown(preview("moved", "n=3")), []string{"01-01T01:45:00Z", "01-01T02:00:00Z", "01-01T03:00:00Z"})
		is(t, "times", shown(preview("times", "")), []string{"01-01T02:00:00Z", "01-01T03:00:00Z"})
		is(t, "times, from later", shown(preview("times", "from=2000-01-01T02:30:00Z")), []string{"01-01T03:00:00Z"})
		is(t, "times, from the end", shown(preview("times", "from=2000-01-01T03:00:00Z")), nil)
		is(t, "pace", shown(preview("pace", "")), []string{"01-01T02:00:00Z", "01-01T03:00:00Z"})
		is(t, "once", shown(preview("once", "")), []string{"01-01T05:00:00Z"})
		is(t, "once, from later", shown(preview("once", "from=2000-01-01T06:00:00Z")), nil)
		is(t, "cron", shown(preview("cron", "n=1")), []string{"01-02T02:30:00+01:00"})
		is(t, "every, from later", shown(preview("every", "n=2&from=2000-03-01T00:00:00Z")), []string{"03-01T01:00:00Z", "03-01T02:00:00Z"})
		is(t, "every, until", shown(preview("every", "until=2000-01-01T03:30:00Z")), []string{"01-01T02:00:00Z", "01-01T03:00:00Z"})
		is(t, "every, until before the next", preview("every", "until=2000-01-01T01:40:00Z"), &api.Preview{
			Schedule: "every 1h", Words: preview("every", "").Words, Zone: "UTC", Warnings: []string{}, Occurrences: []api.Occurrence{},
		})
		e.do("GET", "/v1/tasks/every/preview?n=0", "").want(http.StatusBadRequest).problem("invalid", "n")
	})
}

// What a preview tells is what runs.
func TestPreview_IsTrue(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for i, when := range []string{
			`"every": "7m"`, `"schedule": "every 10m jitter 5m"`, `"cron": "H/9 * * * *"`, `"schedule": "every 13m times 4"`, `"schedule": "pace 11m"`,
			`"schedule": "cron */10 * * * * except (cron 20 * * * *)"`,
		} {
			e.do("PUT", fmt.Sprintf("/v1/tasks/n%d", i), `{"kind": "done", `+when+`}`).want(http.StatusCreated)
		}
		foreseen := map[string][]time.Time{}
		for i := range 6 {
			name := fmt.Sprintf("n%d", i)
			p := read[api.Preview](e.do("GET", "/v1/tasks/"+name+"/preview?n=1000&until=2000-01-01T03:00:00Z", ""))
			for _, o := range p.Occurrences {
				if len(o.Marks) == 0 || o.Marks[0] != "excluded" {
					foreseen[name] = append(foreseen[name], o.UTC)
				}
			}
		}
		simulated := map[string][]time.Time{}
		for _, f := range read[api.Simulation](e.do("GET", "/v1/simulate?until=2000-01-01T03:00:00.000001Z", "").want(http.StatusOK)).Fires {
			simulated[f.Name] = append(simulated[f.Name], f.DueAt)
		}
		e.work(nil)
		e.pass(3*time.Hour + time.Second)
		ran := map[string][]time.Time{}
		for _, ev := range read[api.EventPage](e.do("GET", "/v1/history?limit=1000", "")).Events {
			ran[ev.Name] = append(ran[ev.Name], ev.DueAt)
		}
		for i := range 6 {
			name := fmt.Sprintf("n%d", i)
			is(t, "foreseen of "+name, foreseen[name], ran[name])
			is(t, "simulated of "+name, simulated[name], ran[name])
		}
	})
}

// What is far away is found at once, however short a pace is: nobody can keep the server busy with a question.
func TestForecast_FarAway(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for name, schedule := range map[string]string{"quick": "pace 1us", "from": "pace-from-start 1us", "few": "pace 1h times 48", "ends": "pace 1us until 2000-01-02T00:00Z"} {
			e.do("PUT", "/v1/tasks/"+name, `{"kind": "nobody", "schedule": "`+schedule+`"}`).want(http.StatusCreated)
		}
		due := func(path string) (all []time.Time) {
			for _, o := range read[api.Preview](e.do("GET", path, "").want(http.StatusOK)).Occurrences {
				all = append(all, o.UTC)
			}
			return all
		}
		for _, from := range []time.Time{time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
			at := from.Format(time.RFC3339)
			for _, name := range []string{"quick", "from"} {
				is(t, name+" from "+at, due("/v1/tasks/"+name+"/preview?n=2&from="+at), []time.Time{from.Add(time.Microsecond), from.Add(2 * time.Microsecond)})
			}
			for _, name := range []string{"few", "ends"} {
				is(t, name+" from "+at, due("/v1/tasks/"+name+"/preview?from="+at), nil)
			}
		}
		is(t, "the last of few", len(due("/v1/tasks/few/preview?from=2000-01-02T22:30:00Z")), 2)

		// Each run is when it is due, or, if that is over, at once; and takes no time.
		e.do("PUT", "/v1/tasks/slow", `{"kind": "nobody", "schedule": "pace 10m"}`).want(http.StatusCreated)
		for at, want := range map[string]map[string]int{
			"2000-01-01T00:25:00": {"quick": 3, "from": 3, "ends": 3, "slow": 1},
			"2099-01-01T00:05:00": {"quick": 3, "from": 3, "ends": 1, "slow": 1, "few": 1},
		} {
			fires := map[string]int{}
			for _, f := range read[api.Simulation](e.do("GET", "/v1/simulate?from="+at+"Z&until="+at+".0000025Z", "").want(http.StatusOK)).Fires {
				fires[f.Name]++
			}
			is(t, "fires at "+at, fires, want)
		}
	})
}

func TestSimulate(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.do("PUT", "/v1/tasks/a", `{"kind": "k", "every": "1m"}`).want(http.StatusCreated)
		e.do("PUT", "/v1/tasks/b?namespace=ns", `{"kind": "k", "in": "90s"}`).want(http.StatusCreated)
		s := read[api.Simulation](e.do("GET", "/v1/simulate?limit=3", "").want(http.StatusOK))
		var names []string
		for _, f := range s.Fires {
			names = append(names, f.Namespace+"/"+f.Name)
		}
		is(t, "fires", names, []string{"/a", "ns/b", "/a"})
		is(t, "truncated", s.Truncated, true)
		s = read[api.Simulation](e.do("GET", "/v1/simulate", "").want(http.StatusOK))
		is(t, "fires by default", len(s.Fires), 1000)
		s = read[api.Simulation](e.do("GET", "/v1/simulate?from=2001-01-01T00:00:00Z&until=2001-01-01T00:05:00Z", "").want(http.StatusOK))
		if len(s.Fires) != 6 || s.Truncated { // what is late by then comes first
			t.Errorf("a year later: %+v", s)
		}
		is(t, "none", len(read[api.Simulation](e.do("GET", "/v1/simulate?until=2000-01-01T00:00:00Z", "")).Fires), 0)
		for query, field := range map[string]string{
			"limit=0": "limit", "limit=10001": "limit", "from=now": "from", "until=1999-01-01T00:00:00Z": "until", "from=2001-01-01T00:00:00Z&until=2000-01-01T00:00:00Z": "until",
		} {
			e.do("GET", "/v1/simulate?"+query, "").want(http.StatusBadRequest).problem("invalid", field)
		}
	})
}
