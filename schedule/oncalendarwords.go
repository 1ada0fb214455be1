package schedule

import (
	"math/bits"
	"strconv"
	"strings"
)

// words says which readings match: time of day, then date.
func (k *calendar) words() string {
	if k.fractions == nil {
		return k.rule.words()
	}
	r := &k.rule
	if p := k.fractions[0]; len(k.fractions) == 1 && p.step == 0 && bits.OnesCount64(r.minute) == 1 && bits.OnesCount64(r.hour) == 1 {
		seconds := secondsText(p.lo)
		if p.lo < 10*micros {
			seconds = "0" + seconds
		}
		clock := clockText(bits.TrailingZeros64(r.hour), bits.TrailingZeros64(r.minute))
		return "at " + clock + ":" + seconds + r.dateWords(true)
	}
	name := "seconds "
	list := make([]string, len(k.fractions))
	for i, p := range k.fractions {
		switch list[i] = secondsText(p.lo); {
		case p.step == 0 && len(k.fractions) == 1:
			name = "second "
		case p.step == 0:
		case p.hi == open:
			list[i] = "every " + secondsText(p.step) + " from " + list[i] + " on"
		default:
			list[i] = "every " + secondsText(p.step) + " from " + list[i] + " to " + secondsText(p.hi)
		}
	}
	return "at " + name + enumerate(list, "and") + r.withinWords(false) + r.dateWords(!r.full(fieldHour))
}

// secondsText is a number of microseconds in seconds.
func secondsText(n int) string {
	text := strconv.Itoa(n / micros)
	if rest := n % micros; rest > 0 {
		text += "." + strings.TrimRight(strconv.Itoa(micros + rest)[1:], "0")
	}
	return text
}

// calendar warns of a calendar event expression. Of one that is left out it matters less how often it matches, and more that it
// may name midnight where days are meant.
func (w *warner) calendar(s Schedule, exception bool) {
	k := s.more.calendar
	text := "calendar " + string(k.appendText(nil))
	if s.Never() {
		w.add("%q never matches: no year has such a day", text)
		return
	}
	if exception {
		if r := &k.rule; r.hour == 1 && r.minute == 1 && r.second == 1 && k.fractions == nil {
			w.add("%q leaves out the minute of midnight: write %q for whole days", text, text[:strings.LastIndexByte(text, ' ')+1]+"*:*:00")
		}
	} else {
		w.everyMinuteOf(k)
		for f := fieldSecond; f <= fieldMonth; f++ {
			if parts := k.parts[f]; parts != nil && k.fractions == nil {
				w.unevenStep(&k.rule, f, string(k.appendField(nil, f)))
			}
		}
	}
	w.shortMonths(&k.rule)
}

// everyMinuteOf warns where minutes or seconds were left to * though hours are chosen, as everyMinute does.
func (w *warner) everyMinuteOf(k *calendar) {
	r := &k.rule
	hours := r.pinsHour() && r.hour&(r.hour>>1) == 0
	one := bits.OnesCount64(r.second) == 1 && k.fractions == nil
	every := k.fractions == nil && r.full(fieldSecond)
	switch {
	case every && r.full(fieldMinute) && hours:
		w.add("it runs %d times in each hour that it names: did you mean %q?", 3600, "calendar "+k.with("00", "00"))
	case one && r.full(fieldMinute) && hours:
		w.add("it runs %d times in each hour that it names: did you mean %q?", 60, "calendar "+k.with("00", ""))
	case every && bits.OnesCount64(r.minute) == 1:
		w.add("it runs %d times in each minute that it names: did you mean %q?", 60, "calendar "+k.with("", "00"))
	}
}

// with is the normalised form with another minute and second; empty for the same.
func (k *calendar) with(minute, second string) string {
	text := string(k.appendText(nil))
	for n, value := range [...]string{second, minute} {
		end := len(text)
		for range n {
			end = strings.LastIndexByte(text[:end], ':')
		}
		if from := strings.LastIndexByte(text[:end], ':') + 1; value != "" {
			text = text[:from] + value + text[end:]
		}
	}
	return text
}
