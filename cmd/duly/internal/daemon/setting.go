package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/cmd/duly/internal/database"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/postgres"
	"github.com/dulyhq/duly/target"
)

// A Setting is one thing that a daemon can be told: by the flag --key, by the variable DULY_KEY, or by the key in the file.
type Setting struct {
	Key    string // as in the file
	Arg    string // what help calls the value; "" is a switch
	What   string // for help, with the default
	Reload bool   // SIGHUP takes a new value; others need a restart
	list   bool   // it may be given several times
	whole  bool   // of a list: commas do not divide a value
	secret bool   // its value is not shown in errors
	set    func(c *Config, values []string) (want string)
	show   func(c *Config) string
}

// Flag is the setting's flag, without dashes before it.
func (s *Setting) Flag() string { return strings.ReplaceAll(s.Key, "_", "-") }

// Variable is the setting's environment variable.
func (s *Setting) Variable() string { return "DULY_" + strings.ToUpper(s.Key) }

func flagOf(key string) string { return "--" + strings.ReplaceAll(key, "_", "-") }

// Settings are all that there are, in the order in which help lists them.
var Settings = slices.Concat(ownSettings, tellSettings)

var ownSettings = []Setting{
	{
		Key: "listen", Arg: "ADDR", list: true, set: setListen, show: func(c *Config) string { return orNone(strings.Join(c.Listen, ",")) },
		What: "serve TCP on `ADDR`, host:port, several with commas; none is the socket alone (default: " + DefaultListen + ")",
	},
	{
		Key: "socket", Arg: "PATH", set: setSocket, show: func(c *Config) string { return orNone(c.Socket) },
		What: "serve on the unix socket `PATH`, or none (default: duly.sock in the data directory)",
	},
	path("tls_cert", "FILE", true, "the certificate chain in PEM for TCP, read again on SIGHUP", func(c *Config) *string { return &c.TLSCert }),
	path("tls_key", "FILE", true, "its private key in PEM", func(c *Config) *string { return &c.TLSKey }),
	toggle("insecure", "listen beyond loopback without TLS", func(c *Config) *bool { return &c.Insecure }),
	toggle("allow_commands", "let tasks that run commands be put over TCP from beyond loopback", func(c *Config) *bool { return &c.AllowCommands }),
	{
		Key: "hosts", Arg: "NAME", list: true, set: setHosts, show: func(c *Config) string { return orNone(strings.Join(c.Hosts, ",")) },
		What: "also answer requests for the host `NAME`, several with commas: what a proxy or a browser calls this machine",
	},
	path("webhook_secrets", "FILE", true, "sign callbacks with the secrets in `FILE`, one whsec_ a line, the newest first",
		func(c *Config) *string { return &c.WebhookSecrets }),
	toggle("allow_private", "let callbacks go to loopback and private networks", func(c *Config) *bool { return &c.AllowPrivate }),
	{
		Key: "allow_addresses", Arg: "CIDR", list: true, set: setAddresses, show: showAddresses,
		What: "let callbacks go to `CIDR`, several with commas, whatever it is",
	},
	toggle("callback_proxy", "send callbacks through the proxy that HTTPS_PROXY names", func(c *Config) *bool { return &c.CallbackProxy }),
	word("log_level", true, "debug, info, warn or error (default: info)", []string{"debug", "info", "warn", "error"}, func(c *Config) *string { return &c.LogLevel }),
	word("log_format", false, "text or json (default: text)", []string{"text", "json"}, func(c *Config) *string { return &c.LogFormat }),
	duration("drain_timeout", time.Millisecond, "let what runs finish for `DURATION` when it is asked to end (default: 30s)",
		func(c *Config) *time.Duration { return &c.DrainTimeout }),
	{
		Key: "workers", Arg: "N", set: setWorkers, show: func(c *Config) string { return orDefault(int64(c.Workers), "10000") },
		What: "run at most `N` attempts at a time (default: 10000)",
	},
	{
		Key: "store", Arg: "URL", secret: true, set: setStore, show: showStore,
		What: "keep tasks in the PostgreSQL database at `URL`, postgres://user@host/database, which daemons can share; directory: in the data directory (default: directory)",
	},
	{
		Key: "schema", Arg: "NAME", set: setSchema, show: func(c *Config) string { return c.schema() },
		What: "of --store: the `NAME` of the schema that the tables are in (default: duly)",
	},
	toggle("pooler", "of --store: what is at URL is a pooler that hands out connections for one transaction at a time", func(c *Config) *bool { return &c.Pooler }),
	{
		Key: "durability", Arg: "WORD", set: setDurability, show: func(c *Config) string { return durabilities[c.Durability] },
		What: "sync, interval or memory: what a power cut, or kill -9, may take (default: sync, nothing)",
	},
	size("min_free", 1<<20, "refuse new tasks when less than `SIZE` is free on the disk (default: 64MiB)", "64MiB", func(c *Config) *int64 { return &c.MinFree }),
	duration("history_age", time.Hour, "keep the history for `DURATION` (default: 7 days, 168h)", func(c *Config) *time.Duration { return &c.HistoryAge }),
	duration("output_age", time.Hour, "keep what attempts print for `DURATION` (default: 7 days, 168h)", func(c *Config) *time.Duration { return &c.OutputAge }),
	size("output_bytes", 1<<20, "keep at most `SIZE` of what attempts print (default: 1GiB)", "1GiB", func(c *Config) *int64 { return &c.OutputBytes }),
}

func settingOf(key string) *Setting {
	for i := range Settings {
		if Settings[i].Key == key {
			return &Settings[i]
		}
	}
	return nil
}

// given returns the values of a setting, and where they were given; "" for nowhere.
func (s *Setting) given(g *Given, f *file) (where string, values []string) {
	if values, ok := g.Flags[s.Key]; ok {
		return "--" + s.Flag(), values
	}
	if text := g.Getenv(s.Variable()); text != "" {
		return s.Variable(), s.split(text)
	}
	if f != nil {
		if v, ok := f.values[s.Key]; ok {
			return f.where(s.Key), v.texts
		}
	}
	return "", nil
}

// value is what an error shows of values.
func (s *Setting) value(values []string) string {
	if s.secret {
		return ""
	}
	return strings.Join(values, ",")
}

// split takes the text of a flag or a variable apart, where the setting is a list.
func (s *Setting) split(text string) []string {
	if !s.list || s.whole {
		return []string{text}
	}
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// Values are those of a flag's text.
func (s *Setting) Values(text string) []string { return s.split(text) }

// List says whether a flag that is given again adds to what was given before.
func (s *Setting) List() bool { return s.list }

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

func orDefault(n int64, text string) string {
	if n == 0 {
		return text
	}
	return strconv.FormatInt(n, 10)
}

func setListen(c *Config, values []string) string {
	if len(values) == 1 && values[0] == none {
		c.Listen = nil
		return ""
	}
	for _, v := range values {
		_, port, err := net.SplitHostPort(v)
		if err != nil {
			return "addresses as 127.0.0.1:4280, [::1]:4280 or :4280, or none"
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "a port from 1 to 65535, or 0 for any that is free"
		}
	}
	c.Listen = values
	return ""
}

func setSocket(c *Config, values []string) string {
	if values[0] == none {
		c.Socket = ""
		return ""
	}
	abs, err := filepath.Abs(values[0])
	if err != nil {
		return "an absolute path"
	}
	if len(abs) > home.MostSocket {
		return fmt.Sprintf("a path of at most %d bytes: a socket has no room for more", home.MostSocket)
	}
	c.Socket = abs
	return ""
}

func setHosts(c *Config, values []string) string {
	for _, v := range values {
		if v == "" || strings.ContainsAny(v, "/ *") {
			return "names or addresses as they are in a URL, such as duly.example.com"
		}
	}
	c.Hosts = values
	return ""
}

func setAddresses(c *Config, values []string) string {
	c.AllowAddresses = nil
	for _, v := range values {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			a, aerr := netip.ParseAddr(v)
			if aerr != nil {
				return "addresses or networks, such as 10.1.2.3 or 10.1.0.0/16"
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		c.AllowAddresses = append(c.AllowAddresses, p)
	}
	return ""
}

func showAddresses(c *Config) string {
	texts := make([]string, len(c.AllowAddresses))
	for i, p := range c.AllowAddresses {
		texts[i] = p.String()
	}
	return orNone(strings.Join(texts, ","))
}

func setWorkers(c *Config, values []string) string {
	n, err := strconv.Atoi(values[0])
	if err != nil || n < 1 || n > 1_000_000 {
		return "a whole number from 1 to 1000000"
	}
	c.Workers = n
	return ""
}

// inDirectory is the word for tasks that are kept in the data directory.
const inDirectory = "directory"

func setStore(c *Config, values []string) string {
	if values[0] == inDirectory {
		c.Store = database.Address{}
		return ""
	}
	var want string
	if c.Store, want = database.Parse(values[0]); want != "" {
		want += ", or " + inDirectory
	}
	return want
}

func showStore(c *Config) string {
	if c.Store.None() {
		return inDirectory
	}
	return c.Store.String()
}

func setSchema(c *Config, values []string) string {
	_, err := postgres.MigrationSQL(1, values[0])
	if e, ok := errors.AsType[*store.Error](err); ok {
		return e.Want
	}
	c.Schema = values[0]
	return ""
}

var durabilities = map[pebble.Durability]string{pebble.Sync: "sync", pebble.Interval: "interval", pebble.Memory: "memory"}

func setDurability(c *Config, values []string) string {
	for d, word := range durabilities {
		if word == values[0] {
			c.Durability = d
			return ""
		}
	}
	return "sync, interval or memory"
}

func path(key, arg string, reload bool, what string, of func(*Config) *string) Setting {
	if !strings.Contains(what, "`") {
		what = "`" + arg + "`: " + what
	}
	return Setting{
		Key: key, Arg: arg, What: what, Reload: reload, show: func(c *Config) string { return orNone(*of(c)) },
		set: func(c *Config, values []string) string {
			abs, err := filepath.Abs(values[0])
			if err != nil || values[0] == "" {
				return "the path of a file"
			}
			*of(c) = abs
			return ""
		},
	}
}

func toggle(key, what string, of func(*Config) *bool) Setting {
	return Setting{
		Key: key, What: what, show: func(c *Config) string { return strconv.FormatBool(*of(c)) },
		set: func(c *Config, values []string) string {
			switch values[0] {
			case "true":
				*of(c) = true
			case "false":
				*of(c) = false
			default:
				return "true or false"
			}
			return ""
		},
	}
}

func word(key string, reload bool, what string, words []string, of func(*Config) *string) Setting {
	return Setting{
		Key: key, Arg: "WORD", What: what, Reload: reload, show: func(c *Config) string { return *of(c) },
		set: func(c *Config, values []string) string {
			for _, w := range words {
				if values[0] == w {
					*of(c) = w
					return ""
				}
			}
			last := len(words) - 1
			return strings.Join(words[:last], ", ") + " or " + words[last]
		},
	}
}

func duration(key string, least time.Duration, what string, of func(*Config) *time.Duration) Setting {
	return Setting{
		Key: key, Arg: "DURATION", What: what,
		show: func(c *Config) string {
			if *of(c) == 0 {
				return "168h"
			}
			return target.Duration(*of(c)).String()
		},
		set: func(c *Config, values []string) string {
			d, err := target.ParseDuration(values[0])
			if err != nil || time.Duration(d) < least {
				return "a length of time such as 1m30s, at least " + least.String()
			}
			*of(c) = time.Duration(d)
			return ""
		},
	}
}

// units of sizes: those of disks and those of memory.
var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

func size(key string, least int64, what, usual string, of func(*Config) *int64) Setting {
	return Setting{
		Key: key, Arg: "SIZE", What: what,
		show: func(c *Config) string {
			if *of(c) == 0 {
				return usual
			}
			return showSize(*of(c))
		},
		set: func(c *Config, values []string) string {
			n, ok := parseSize(values[0])
			if !ok || n < least {
				return "a size such as 500MiB or 2GB, at least " + showSize(least)
			}
			*of(c) = n
			return ""
		},
	}
}

// parseSize reads a whole number with a unit. A bare number is refused, because it does not say of what.
func parseSize(text string) (int64, bool) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			return 0, false
		}
		return n * u.bytes, true
	}
	return 0, false
}

// showSize is a number of bytes as parseSize reads it.
func showSize(n int64) string {
	best := "B"
	div := int64(1)
	for _, u := range units[:4] {
		if n >= u.bytes && n%u.bytes == 0 {
			best, div = u.suffix, u.bytes
		}
	}
	return strconv.FormatInt(n/div, 10) + best
}

// level is the log level of its word.
func level(word string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(word)) != nil {
		return slog.LevelInfo
	}
	return l
}
