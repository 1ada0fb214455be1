package cli

import (
	"time"

	"github.com/dulyhq/duly/schedule"
)

// An answer says when a schedule fires. Its JSON form is a promise, in docs/cli-json.md.
type answer struct {
	Expression  string       `json:"expression"`
	Canonical   string       `json:"canonical"`
	Kind        string       `json:"kind"`
	Zone        string       `json:"zone"`
	Words       string       `json:"words"`
	Warnings    []string     `json:"warnings"`    // never nil
	Occurrences []occurrence `json:"occurrences"` // never nil
	Never       bool         `json:"never"`       // nothing runs from the asked instant on

	loc    *time.Location
	from   time.Time
	list   []schedule.Occurrence // beside Occurrences
	ended  bool                  // nothing comes after the last one
	hidden bool                  // some of those that are left out are not shown
}

// An occurrence is one instant at which a schedule fires, or would if it were not left out.
type occurrence struct {
	At    string   `json:"at"`
	UTC   string   `json:"utc"`
	Marks []string `json:"marks"` // never nil
}

func (a *answer) add(o schedule.Occurrence) {
	marks := o.Marks.Strings()
	if marks == nil {
		marks = []string{}
	}
	a.list = append(a.list, o)
	a.Occurrences = append(a.Occurrences, occurrence{At: a.local(o.Due), UTC: o.Due.UTC().Format(time.RFC3339Nano), Marks: marks})
}

// local is t in the answer's zone. RFC 3339 has offsets of whole minutes only, and local mean times had seconds: they are cut
// off the offset and the time of day alike, so that the instant is the same.
func (a *answer) local(t time.Time) string {
	t = t.In(a.loc)
	if _, offset := t.Zone(); offset%60 != 0 {
		t = t.In(time.FixedZone("", offset/60*60))
	}
	return t.Format(time.RFC3339Nano)
}
