package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/database"
	"github.com/dulyhq/duly/cmd/duly/internal/deadman"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/notice"
	"github.com/dulyhq/duly/store/pebble"
)

// DefaultListen is where a daemon listens that was not told otherwise.
const DefaultListen = "127.0.0.1:4280"

// none is the word for no listener at all, of either sort.
const none = "none"

// A Config is all that a daemon can be told. Load makes one; [Settings] says what its parts are.
type Config struct {
	Data   string   // an absolute directory
	Listen []string // addresses of TCP; empty is none
	Socket string   // the path of the unix socket; "" is none

	TLSCert, TLSKey string
	Insecure        bool
	AllowCommands   bool
	Hosts           []string

	Tokens []Token // beside the one in the directory

	WebhookSecrets string // the path of a file; "" is none
	AllowPrivate   bool
	AllowAddresses []netip.Prefix
	CallbackProxy  bool

	LogLevel     string
	LogFormat    string
	DrainTimeout time.Duration
	Workers      int
	Store        database.Address // none: tasks are in the directory
	Schema       string           // "" is duly
	Pooler       bool
	Durability   pebble.Durability
	MinFree      int64
	HistoryAge   time.Duration
	OutputAge    time.Duration
	OutputBytes  int64

	NotifyURL      string   // "" is none
	NotifyCommand  []string // nil is none
	NotifyLate     time.Duration
	NotifyInterval time.Duration
	NotifyLimit    int
	PingURL        string // "" is none
	PingInterval   time.Duration

	given                    Given
	listenGiven, socketGiven bool              // else what the init system hands over takes their place
	from                     map[string]string // by key: where a setting was given, "" for nowhere
}

// A Token is one that the configuration file allows, beside the daemon's own.
type Token struct {
	Name   string
	Scopes []api.Scope
	SHA256 string // of the token, in hexadecimal; or
	File   string // the path of a file that has it
	where  string // for errors
}

// A ConfigError says what is wrong with a setting.
type ConfigError struct {
	Where string // the flag, the variable, or the file with the line and the key
	Value string // what was given; empty where there is no more to say
	Want  string
	Hint  string // what was probably meant
}

// Error returns one line.
func (e *ConfigError) Error() string {
	s := e.Where
	if e.Value != "" {
		s += fmt.Sprintf(" %q", e.Value)
	}
	s += ": want " + e.Want
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Given is where settings come from: a flag is before a variable, a variable before the file.
type Given struct {
	Data   string              // of the flag --data; "" is none
	Config string              // of the flag --config; "" is what DULY_CONFIG says
	Flags  map[string][]string // by a setting's key, those that were given
	Getenv func(string) string
}

// Load reads all settings and checks them, also against each other and against the files that they name. It changes nothing.
func Load(g Given) (*Config, error) {
	c := &Config{
		Listen: []string{DefaultListen}, LogLevel: "info", LogFormat: "text", DrainTimeout: 30 * time.Second,
		NotifyInterval: notice.DefaultInterval, NotifyLimit: notice.DefaultLimit, PingInterval: deadman.DefaultInterval,
		given: g, from: map[string]string{},
	}
	var err error
	if c.Data, err = home.Data(g.Data, g.Getenv); err != nil {
		return nil, err
	}
	path := g.Config
	if path == "" {
		path = g.Getenv("DULY_CONFIG")
	}
	var file *file
	if path != "" {
		if file, err = readFile(path); err != nil {
			return nil, err
		}
		c.Tokens = file.tokens
	}
	if err := file.check(); err != nil {
		return nil, err
	}
	for i := range Settings {
		s := &Settings[i]
		where, values := s.given(&g, file)
		if where == "" {
			continue
		}
		if want := s.set(c, values); want != "" {
			return nil, &ConfigError{Where: where, Value: s.value(values), Want: want}
		}
		c.from[s.Key] = where
	}
	c.listenGiven, c.socketGiven = c.from["listen"] != "", c.from["socket"] != ""
	if !c.socketGiven {
		if c.Socket, err = home.Socket(c.Data); err != nil {
			return nil, fmt.Errorf("%w, or --socket PATH, or --socket none", err)
		}
	}
	return c, c.check()
}

// check looks at what settings say together.
func (c *Config) check() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		given, missing := "tls_cert", "tls_key"
		if c.TLSCert == "" {
			given, missing = missing, given
		}
		return &ConfigError{Where: c.where(given), Want: "also " + flagOf(missing) + ": a certificate and its key belong together"}
	}
	if len(c.Listen) == 0 && c.Socket == "" {
		return &ConfigError{Where: c.where("listen") + " and " + c.where("socket"), Value: none, Want: "at least one of them: nobody could reach the daemon"}
	}
	for _, address := range c.Listen {
		if err := c.checkReach(address); err != nil {
			return err
		}
	}
	if err := c.checkStore(); err != nil {
		return err
	}
	if err := c.checkTelling(); err != nil {
		return err
	}
	_, err := c.secrets()
	return err
}

// checkStore refuses what says nothing where tasks are kept.
func (c *Config) checkStore() error {
	if c.Store.None() {
		for _, key := range [...]string{"schema", "pooler"} {
			if c.from[key] != "" && (key != "pooler" || c.Pooler) {
				return &ConfigError{Where: c.where(key), Want: "also --store: it is of a database"}
			}
		}
		return nil
	}
	for _, x := range [...]struct{ key, instead string }{
		{"durability", "how durable a task is, the server's synchronous_commit says"}, {"min_free", "the server sees to its own disk"},
	} {
		if c.from[x.key] != "" {
			return &ConfigError{Where: c.where(x.key), Want: "none beside " + c.where("store") + ": " + x.instead}
		}
	}
	return nil
}

// schema is the name of the schema.
func (c *Config) schema() string {
	if c.Schema == "" {
		return "duly"
	}
	return c.Schema
}

// where says where a setting was given, for an error.
func (c *Config) where(key string) string {
	if from := c.from[key]; from != "" {
		return from
	}
	return flagOf(key)
}

// checkReach refuses to be reached from other machines in the clear, unless somebody has said so.
func (c *Config) checkReach(address string) error {
	if loopback(address) || c.TLSCert != "" || c.Insecure {
		return nil
	}
	return &ConfigError{
		Where: c.where("listen"), Value: address,
		Want: "TLS for an address that other machines reach: --tls-cert FILE and --tls-key FILE, or --insecure where something else encrypts",
	}
}

// secrets are all that a daemon must not show, and that a reload reads anew.
type secrets struct {
	tokens   []credential // without the daemon's own
	webhooks [][]byte
	texts    []string // what must not be in a log
	cert     *certificate
}

// secrets reads the files of secrets that the configuration names.
func (c *Config) secrets() (*secrets, error) {
	s := &secrets{}
	for i := range c.Tokens {
		t, text, err := c.Tokens[i].read()
		if err != nil {
			return nil, err
		}
		if j := slices.IndexFunc(s.tokens, func(o credential) bool { return o.sum == t.sum }); j >= 0 {
			return nil, &ConfigError{Where: c.Tokens[i].where, Want: "a token of its own: it is that of " + s.tokens[j].name}
		}
		s.tokens = append(s.tokens, t)
		if text != "" {
			s.texts = append(s.texts, text)
		}
	}
	if c.WebhookSecrets != "" {
		keys, texts, err := readWebhookSecrets(c.WebhookSecrets, c.where("webhook_secrets"))
		if err != nil {
			return nil, err
		}
		s.webhooks = keys
		s.texts = append(s.texts, texts...)
	}
	if c.TLSCert != "" {
		var err error
		if s.cert, err = readCertificate(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Report shows all settings, one a line, and where each was given.
func (c *Config) Report() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "data\t%s\t\n", c.Data)
	for i := range Settings {
		s := &Settings[i]
		from := c.from[s.Key]
		if from == "" {
			from = "default"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", s.Key, s.show(c), from)
	}
	for i := range c.Tokens {
		t := &c.Tokens[i]
		_, _ = fmt.Fprintf(w, "token %s\t%v\t%s\n", t.Name, t.Scopes, t.where)
	}
	_ = w.Flush() // all of it goes into memory
	return b.String()
}
