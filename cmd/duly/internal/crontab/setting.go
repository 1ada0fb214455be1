package crontab

import (
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// A setting is a line that gives a variable a value.
type setting struct {
	name, value     string
	nameAt, valueAt int      // bytes of the line
	line            int      // that it stands in
	remark          int      // the byte of the line where a # follows blanks, as a comment would; 0 for none
	before          *setting // in the crontab
}

// cutSetting takes a line apart that is a setting: a name, =, and a value, each perhaps within quotes of one sort, and blanks around them.
// What has something behind a closing quote, or no closing quote, is none.
func cutSetting(line string, at int) (s setting, ok bool) {
	var rest string
	s.nameAt = at
	if quoted := line[at]; quoted == '"' || quoted == '\'' {
		s.name, rest, ok = strings.Cut(line[at+1:], string(quoted))
		ok = ok && !strings.Contains(s.name, "=")
	} else if i := strings.IndexAny(line[at:], spaces+"="); i >= 0 {
		s.name, rest, ok = line[at:at+i], line[at+i:], true
	}
	if !ok {
		return s, false
	}
	if rest, ok = strings.CutPrefix(strings.TrimLeft(rest, spaces), "="); !ok {
		return s, false
	}
	rest = strings.TrimLeft(rest, spaces)
	s.valueAt = len(line) - len(rest)
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		s.value = strings.TrimRight(rest, spaces)
		for i := s.valueAt; i < s.valueAt+len(s.value) && s.remark == 0; i++ {
			if line[i] == '#' && strings.IndexByte(spaces, line[i-1]) >= 0 {
				s.remark = i
			}
		}
		return s, true
	}
	value, rest, closed := strings.Cut(rest[1:], rest[:1])
	s.value = value
	return s, closed && strings.Trim(rest, spaces) == ""
}

// unclosed takes a line apart that would be a setting if its value's quote were closed, and nothing came behind it.
func unclosed(line string, at int) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line[at:], "=")
	name, value = strings.TrimRight(name, spaces), strings.TrimLeft(value, spaces)
	ok = ok && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
	return name, value, ok && (strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'"))
}

// obeyed are variables that some cron obeys, and that here are only handed to the commands, with what they do there.
var obeyed = map[string]string{
	"MAILFROM":                  "it is the sender of mail, and duly sends none",
	"CONTENT_TYPE":              "it is the form of mail, and duly sends none",
	"CONTENT_TRANSFER_ENCODING": "it is the form of mail, and duly sends none",
	"CRON_MAIL_SUCCESS":         "it asks for mail, and duly sends none",
	"CRON_MAIL_FORMAT":          "it is the form of mail, and duly sends none",
	"MLS_LEVEL":                 "cronie runs commands in a context of SELinux by it",
	"XDG_SESSION_CLASS":         "cronie opens a session of systemd by it",
	"PERSISTENT":                "systemd-cron catches up by it what was missed; --catch-up latest does it here",
	"DELAY":                     "systemd-cron waits so long after it has started",
	"START_HOURS_RANGE":         "systemd-cron moves @daily and its like by it",
	"BATCH":                     "systemd-cron runs commands at a low priority by it; nice(1) does it here",
	"CRON_BATCH_LOADAVG_BELOW":  "systemd-cron waits for a low load by it",
	"CRON_BATCH_THROTTLE_GROUP": "systemd-cron runs one of a group at a time by it",
	"CRON_LOG_NAMESPACE":        "systemd-cron logs by it",
	"CRON_INHERIT_VARIABLES":    "systemd-cron hands variables to other crontabs by it",
}

// set takes a setting.
func (r *reader) set(s setting) {
	r.settings++
	r.environ += len(s.name) + len(s.value)
	switch {
	case s.name == "":
		r.fail(s.nameAt, "there is no name before =: want NAME=VALUE")
		return
	case r.settings > maxSettings:
		r.over = true
		r.fail(s.nameAt, "there are more than %d settings: want several crontabs", maxSettings)
		return
	case r.environ > maxEnviron:
		r.over = true
		r.fail(s.nameAt, "the settings have more than %d bytes: want less, or a file that the commands read", maxEnviron)
		return
	case strings.HasPrefix(s.name, "DULY_"):
		r.ignore(s.nameAt, "%s is not set: the daemon sets what begins with DULY_", s.name)
		return
	case s.name == "LOGNAME" || s.name == "USER":
		r.ignore(s.nameAt, "%s is not set: it is the name of whoever a command runs as, as with cron", s.name)
		return
	}
	if !r.obey(&s) {
		return
	}
	if s.remark > 0 {
		r.warn(s.remark, "%s: a comment has a line of its own: what follows # is a part of the value, here as with cron", s.name)
	}
	s.line = r.n
	s.before, r.last = r.last, &s
}

// obey does what a setting says beside being handed to the commands. It returns whether it is right.
func (r *reader) obey(s *setting) bool {
	switch s.name {
	case "CRON_TZ":
		return r.inZone(s)
	case "RANDOM_DELAY":
		r.random(s)
	case "SHELL":
		switch {
		case s.value == "":
			r.fail(s.nameAt, "SHELL is empty: want a program such as /bin/bash")
			return false
		case s.value[0] != '/':
			r.warn(s.valueAt, "SHELL %s is no path: cron does not look for it, and fails; here it is looked for in PATH", quote(s.value))
		}
		r.shell = s.value
	case "HOME":
		if !strings.HasPrefix(s.value, "/") {
			r.fail(s.valueAt, "HOME %s: want a directory that begins with /, in which the commands run; nothing in a value is expanded", quote(s.value))
			return false
		}
		r.home = s.value
	case "MAILTO":
		if s.value != "" {
			r.ignore(s.nameAt, "MAILTO: nothing is mailed; duly logs NAME prints what a task has printed, and duly ls how its last run went")
		}
	case "TZ":
		if s.value != "" && r.zone != s.value {
			r.warn(s.nameAt, "TZ is for the commands alone: by which clock the lines run says CRON_TZ")
		}
	default:
		if why, ok := obeyed[s.name]; ok {
			r.ignore(s.nameAt, "%s is only handed to the commands: %s", s.name, why)
		}
	}
	r.expands(s)
	return true
}

// expands warns of what only a shell would do with a value.
func (r *reader) expands(s *setting) {
	if strings.Contains(s.value, "$") && s.name != "MAILTO" {
		r.warn(s.valueAt, "%s: nothing in a value is expanded, here as with cron: $ stays as it is", s.name)
	} else if s.name == "PATH" && (strings.HasPrefix(s.value, "~") || strings.Contains(s.value, ":~")) {
		r.warn(s.valueAt, "PATH: nothing in a value is expanded, here as with cron: ~ stays as it is")
	}
}

func (r *reader) inZone(s *setting) bool {
	zone := strings.TrimPrefix(s.value, ":")
	if zone == "" {
		r.zone = r.o.Zone
		return true
	}
	err := schedule.Cron("* * * * *").In(zone).Err()
	if err == nil {
		r.zone = zone
		return true
	}
	if s.remark > 0 {
		r.fail(s.remark, "CRON_TZ %s: want the zone alone: a comment has a line of its own", quote(zone))
		return false
	}
	if first, rest, two := strings.Cut(zone, " "); two && schedule.Cron("* * * * *").In(first).Err() == nil {
		r.fail(s.valueAt, "CRON_TZ %s: want the zone on a line of its own, before %s", quote(zone), quote(strings.TrimLeft(rest, blanks)))
		return false
	}
	r.fail(s.valueAt, "CRON_TZ %s: want %s", quote(zone), wantOf(err))
	return false
}

// mostDelay is what cronie takes as RANDOM_DELAY, in minutes.
const mostDelay = 24 * 60

func (r *reader) random(s *setting) {
	r.delay = 0
	minutes, err := strconv.Atoi(s.value)
	switch {
	case s.value == "":
	case err != nil || minutes < 0 || minutes > mostDelay:
		r.ignore(s.valueAt, "RANDOM_DELAY %s: want minutes, 0 to %d; here there is no delay", quote(s.value), mostDelay)
	default:
		r.delay = time.Duration(minutes) * time.Minute
	}
}
