package attack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dulyhq/duly/api"
)

// everything is a list of all values of a field of cron.
func everything(from, to int) string {
	all := make([]string, 0, to-from+1)
	for i := from; i <= to; i++ {
		all = append(all, itoa(i))
	}
	return strings.Join(all, ",")
}

// bombs are schedules that are made to take long, or to take much.
var bombs = map[string]string{
	"a cron that never fires":              "cron 0 0 30 2 *",
	"a cron that hardly ever fires":        "cron 0 0 29 2 mon in Europe/Berlin",
	"a calendar line that never fires":     "calendar *-2-30 0:00",
	"a recurrence that never fires":        "rrule FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30 DTSTART:20260101T000000Z",
	"a second that no minute has":          "rrule FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=31 DTSTART:20260101T000000Z",
	"days that fall on no day":             "rrule FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=1MO;BYSETPOS=2 DTSTART:20260101T000000Z",
	"every nanosecond":                     "every 1ns",
	"every microsecond":                    "every 1us",
	"a pace of a microsecond":              "pace 1us",
	"every microsecond, with a far jitter": "every 1us jitter 100000h",
	"lists of everything":                  "cron " + everything(0, 59) + " " + everything(0, 59) + " " + everything(0, 23) + " " + everything(1, 31) + " " + everything(1, 12) + " *",
	"steps of one everywhere":              "cron */1 */1 */1 */1 */1 */1",
	"a count of 10^9":                      "rrule FREQ=SECONDLY;COUNT=1000000000 DTSTART:19700101T000000Z",
	"a count of 10^18":                     "rrule FREQ=YEARLY;COUNT=1000000000000000000 DTSTART:19700101T000000Z",
	"an interval of 10^9":                  "rrule FREQ=SECONDLY;INTERVAL=999999937;BYHOUR=3;BYMINUTE=7 DTSTART:19700101T000000Z",
	"all that a recurrence has": "rrule FREQ=YEARLY;BYMONTH=" + everything(1, 12) + ";BYWEEKNO=" + everything(1, 53) + ";BYYEARDAY=" + everything(1, 366) +
		";BYMONTHDAY=" + everything(1, 31) + ";BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=" + everything(0, 23) + ";BYMINUTE=" + everything(0, 59) +
		";BYSECOND=" + everything(0, 59) + ";BYSETPOS=" + everything(1, 366) + " DTSTART:20260101T000000Z",
	"positions far behind":          "rrule FREQ=YEARLY;BYHOUR=" + everything(0, 23) + ";BYMINUTE=" + everything(0, 59) + ";BYSECOND=" + everything(0, 59) + ";BYSETPOS=-366 DTSTART:20260101T000000Z",
	"unions nested deep":            strings.Repeat("(", 10_000) + "every 1h" + strings.Repeat(") or (every 2h)", 10_000),
	"a union of 10,000":             strings.Repeat("(every 1h) or ", 10_000) + "(every 1h)",
	"a union of what never fires":   strings.TrimSuffix(strings.Repeat("(cron 0 0 30 2 *) or ", 60), " or "),
	"exceptions of everything":      "every 1us except (every 1us)",
	"exceptions of every second":    "cron * * * * * * except (cron * * * * *)",
	"parentheses that never end":    strings.Repeat("(", 30_000),
	"times of 2^31":                 "every 1us times 2147483647",
	"an instant beyond all":         "at 999999999-12-31T23:59:59Z",
	"the last instant":              "at 9999-12-31T23:59:59-23:59",
	"the first instant":             "at 0001-01-01T00:00:00+23:59",
	"a delay beyond all":            "in 99999999999999999999h",
	"a number of 10,000 digits":     "every " + strings.Repeat("9", 10_000) + "h",
	"a zone that is a path":         "cron 0 9 * * * in ../../../../etc/passwd",
	"a zone of 10,000 bytes":        "cron 0 9 * * * in " + strings.Repeat("x", 10_000),
	"hashes in every place":         "cron h h h h h", //nolint:dupword // five fields
	"a thousand dates to leave out": "rrule FREQ=DAILY DTSTART:20260101T000000Z EXDATE:" + strings.TrimSuffix(strings.Repeat("20260102T000000Z,", 1000), ","),
}

// Every schedule is answered for: it is refused, or it is put and told of, and none takes the daemon from others.
func TestScheduleBombs(t *testing.T) {
	f := serve(t, "")
	spans := []string{"n=1000", "n=1000&from=0001-01-01T00:00:00Z", "n=1000&from=9999-12-31T23:59:59-23:59", "n=1000&from=1970-01-01T00:00:00Z&until=9999-12-31T23:59:59Z"}
	for name, text := range bombs {
		fits := len(url.QueryEscape(text)) < 30<<10
		for _, span := range spans {
			if !fits {
				break
			}
			a := f.ask("GET", "/v1/preview?"+span+"&schedule="+url.QueryEscape(text), "")
			switch {
			case a.status == http.StatusBadRequest && a.problem().Field != "":
			case a.status == http.StatusOK && len(a.body) < 1<<20:
			default:
				t.Errorf("a preview of %s, %s: %d %.300s", name, span, a.status, a.body)
			}
		}
		a := f.ask("PUT", "/v1/tasks/"+url.PathEscape(name), `{"kind": "note", "schedule": `+quoted(text)+`}`)
		if a.status != http.StatusCreated && (a.status != http.StatusBadRequest || a.problem().Field == "") {
			t.Errorf("a put of %s: %d %.300s", name, a.status, a.body)
		}
		if a.status != http.StatusCreated {
			continue
		}
		for _, look := range []string{"", "/why", "/preview?n=1000", "/preview?n=1000&from=9999-01-01T00:00:00Z"} {
			if a := f.ask("GET", "/v1/tasks/"+url.PathEscape(name)+look, ""); a.status != http.StatusOK {
				t.Errorf("%s of %s: %d %.300s", look, name, a.status, a.body)
			}
		}
	}
	for _, query := range []string{"n=1001", "n=0", "n=-1", "n=1000000000", "n=99999999999999999999", "n=1e3", "n=0x10", "n=%2B1", "n="} {
		if a := f.ask("GET", "/v1/preview?schedule=every%201us&"+query, ""); a.status != http.StatusBadRequest || a.problem().Field != "n" {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	f.lives()
}

// A forecast of everything in a thousand years, with as many tasks as somebody cares to put, ends where it says.
func TestSimulateBomb(t *testing.T) {
	f := serve(t, "", "durability=memory")
	tasks := 2000
	if long {
		tasks = 50_000
	}
	texts := []string{"every 1us", "every 1ns", "cron * * * * * *", "cron 0 0 29 2 mon in Europe/Berlin", "every 1h jitter 59m", "rrule FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO DTSTART:20260101T000000Z"}
	var lines strings.Builder
	for i := range tasks {
		fmt.Fprintf(&lines, "{\"name\": \"t%d\", \"kind\": \"note\", \"schedule\": %s}\n", i, quoted(texts[i%len(texts)]))
	}
	a := f.ask("POST", "/v1/tasks:batch", lines.String(), "Content-Type: application/x-ndjson")
	if a.status != http.StatusOK || strings.Count(a.body, "\n") != tasks {
		t.Fatalf("%d %.300s", a.status, a.body)
	}
	for line := range strings.Lines(a.body) {
		if strings.Contains(line, `"error"`) {
			t.Fatal(line)
		}
	}
	for _, span := range []string{
		"limit=10000&until=3026-01-01T00:00:00Z", "limit=10000&from=3000-01-01T00:00:00Z&until=9999-12-31T23:59:59Z", "limit=10000&from=0001-01-01T00:00:00Z",
		"limit=10000&from=9999-12-31T23:59:59-23:59&until=9999-12-31T23:59:59-23:59",
	} {
		a := f.ask("GET", "/v1/simulate?"+span, "")
		var v api.Simulation
		if err := json.Unmarshal([]byte(a.body), &v); a.status != http.StatusOK || err != nil || len(v.Fires) > 10_000 {
			t.Errorf("%s: %d %.300s, %v", span, a.status, a.body, err)
		}
	}
	for _, query := range []string{"limit=10001", "limit=1000000000", "until=0001-01-01T00:00:00Z"} {
		if a := f.ask("GET", "/v1/simulate?"+query, ""); a.status != http.StatusBadRequest || a.problem().Field == "" {
			t.Errorf("%s: %d %.300s", query, a.status, a.body)
		}
	}
	f.lives()
}

// Tasks that are always due leave time for one that somebody is waiting for.
func TestTasksThatAreAlwaysDue(t *testing.T) {
	f := serve(t, "")
	c := f.owner()
	for i := range 8 {
		spec := `{"command": {"args": ["true"]}, "every": "1us", "overlap": "` + []string{"skip", "buffer", "allow", "buffer-many:10000"}[i%4] + `", "catch_up": "all:10000"}`
		if a := f.ask("PUT", "/v1/tasks/always"+itoa(i), spec); a.status != http.StatusCreated {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for i := range 3 {
		a := f.ask("PUT", "/v1/tasks/once"+itoa(i), `{"command": {"args": ["true"]}, "in": "0s"}`)
		var e api.Entry
		if err := json.Unmarshal([]byte(a.body), &e); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Await(t.Context(), e.Name, e.Generation); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 8 {
		if a := f.ask("DELETE", "/v1/tasks/always"+itoa(i), ""); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	f.lives()
}
