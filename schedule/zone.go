package schedule

import (
	"math"
	"strings"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/zonedb"
)

// A zone is a zone of the IANA database, as stretches of constant offset. They are taken from package time once, when first
// needed, and found by search: asking package time each time would cost more, the more so beyond the last change that a
// zone's table knows, where it works the rule out anew, and where what it says of a stretch's end is not to be relied
// on. Nothing is ever changed after that.
type zone struct {
	name string
	loc  *time.Location

	once    sync.Once
	starts  []int64 // of the stretches, in seconds since 1970, the first of them noStart
	offsets []int64 // of the stretches, in seconds east of UTC
}

// A stretch is a time of constant offset: from start, before end, in seconds since 1970.
type stretch struct{ start, end, offset int64 }

const (
	noStart = math.MinInt64
	noEnd   = math.MaxInt64

	// From cycleStart on every zone follows a rule for ever, and so repeats every 400 years. No table goes so far: the last
	// one ends in 2087, with the moon over Casablanca.
	cycleStart   = 4102444800 // 2100-01-01T00:00:00Z
	cycleSeconds = 146097 * daySeconds
	tableEnd     = cycleStart + cycleSeconds + 2*366*daySeconds
)

var utc = &zone{name: "UTC", loc: time.UTC}

// ready makes the zone's table, and returns the zone.
func (z *zone) ready() *zone {
	z.once.Do(func() {
		begin := time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		z.starts, z.offsets = []int64{noStart}, []int64{z.offset(begin)}
		for second := begin; second < tableEnd; {
			seam, ok := z.nextSeam(second)
			if !ok {
				break
			}
			z.starts, z.offsets = append(z.starts, seam), append(z.offsets, z.offset(seam))
			second = seam
		}
	})
	return z
}

func (z *zone) offset(second int64) int64 {
	_, offset := time.Unix(second, 0).In(z.loc).Zone()
	return int64(offset)
}

// nextSeam finds where the offset changes next after a second. What package time says of the end of a stretch is a hint: where
// a rule goes on for ever it also cuts stretches at the turn of the year, and as it takes each year to have 365 days, the end
// that it tells on 31 December of a leap year has passed.
func (z *zone) nextSeam(second int64) (int64, bool) {
	offset := z.offset(second)
	for second < tableEnd {
		_, end := time.Unix(second, 0).In(z.loc).ZoneBounds()
		if end.IsZero() {
			return 0, false
		}
		next := end.Unix()
		if next <= second {
			next = second + daySeconds
		}
		if z.offset(next) != offset {
			return z.seamWithin(second, next), true
		}
		second = next
	}
	return 0, false
}

// seamWithin finds the second at which the offset is that of the later one, which that of the earlier one is not.
func (z *zone) seamWithin(earlier, later int64) int64 {
	offset := z.offset(later)
	if z.offset(later-1) != offset {
		return later
	}
	for earlier+1 < later {
		if middle := earlier + (later-earlier)/2; z.offset(middle) == offset {
			later = middle
		} else {
			earlier = middle
		}
	}
	return later
}

// at returns the stretch of a second; the zone is ready.
func (z *zone) at(second int64) stretch {
	if len(z.starts) == 1 {
		return stretch{noStart, noEnd, z.offsets[0]}
	}
	shift := int64(0)
	if second >= cycleStart+cycleSeconds {
		shift = (second - cycleStart) / cycleSeconds * cycleSeconds
		second -= shift
	}
	lo, hi := 0, len(z.starts)
	for hi-lo > 1 { // starts[lo] <= second < starts[hi]
		if middle := int(uint(lo+hi) / 2); z.starts[middle] <= second {
			lo = middle
		} else {
			hi = middle
		}
	}
	s := stretch{z.starts[lo], noEnd, z.offsets[lo]}
	if hi < len(z.starts) {
		s.end = z.starts[hi] + shift
	}
	if s.start != noStart {
		s.start += shift
	}
	return s
}

// zones keeps the zones that were loaded.
var zones sync.Map // of *zone by zoneKey

// A zoneKey is a name in a database.
type zoneKey struct {
	db   *zonedb.DB
	name string
}

// loadZone finds a zone of the IANA database. The local zone is refused: it is another one on every machine.
func loadZone(name string) (*zone, miss) {
	key := zoneKey{zonedb.Current(), name}
	if z, ok := zones.Load(key); ok {
		return z.(*zone), miss{} //nolint:forcetypeassert // the map holds nothing else
	}
	const want = "a zone of the IANA database, such as Europe/Berlin"
	if name == "" || len(name) > 64 {
		return nil, miss{want: want}
	}
	first, _, _ := strings.Cut(name, "/")
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' {
			return nil, miss{want: want}
		}
	}
	if first == "right" || first == "posix" || first == "posixrules" {
		return nil, miss{want: want + ", by the name without \"" + first + "\""}
	}
	if strings.EqualFold(name, "local") || name == "localtime" {
		return nil, miss{want: want + ", not the machine's own, which is another one on every machine"}
	}
	loc, err := key.db.Load(name)
	if err != nil {
		if likely := likelyZone(name); likely != "" {
			return nil, miss{want: "a zone of the IANA database: did you mean " + likely + "?"}
		}
		return nil, miss{want: want}
	}
	z := &zone{name: name, loc: loc}
	if name == "UTC" {
		z = utc
	}
	kept, _ := zones.LoadOrStore(key, z)
	return kept.(*zone), miss{} //nolint:forcetypeassert // the map holds nothing else
}
