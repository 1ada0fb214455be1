package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
	"github.com/dulyhq/duly/cmd/duly/internal/database"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

const migrateLong = `Look after the tables that duly serve --store has in a PostgreSQL database:

  up       bring the schema to the version that this program works on, from whatever older one there is or from none
  status   tell the version that is there, and whether this program can work on it; exit status 1 if it can't
  sql      print the statements that up would run, of all versions, for people who apply them by hand; each in a transaction

An empty database needs none of this: the first daemon makes the tables, if its role may. Programs of the version before go on
working on a newer schema, or the status says that they do not, so that daemons are replaced one by one.

The database is that of --store, else of DULY_STORE. A password is better in DULY_STORE, PGPASSWORD or PGPASSFILE than in --store, where
whoever may list processes sees it.`

const migrateExample = `  duly migrate status --store postgres://duly@db.example.com/duly
  duly migrate up --store postgres://duly@db.example.com/duly
  duly migrate sql --from 1 --schema tasks`

// migrations are what duly migrate can be told to do.
var migrations = []string{"up", "status", "sql"}

// A migrating is one run of duly migrate.
type migrating struct {
	s      *session
	where  storeFlags
	word   string // what it is told to do
	from   int
	output string
}

func newMigrate(s *session) *cobra.Command {
	m := &migrating{s: s}
	cmd := &cobra.Command{
		Use:                   "migrate up|status|sql [flags]",
		Short:                 "Look after the tables in a PostgreSQL database",
		Long:                  migrateLong,
		Example:               migrateExample,
		DisableFlagsInUseLine: true,
		ValidArgs:             migrations,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{what: cmd.CommandPath() + " takes one word: up, status or sql", hint: cmd.CommandPath() + " --help tells what they do"}
			}
			if want := wantWord(args[0], migrations); want != "" {
				return &usageError{what: fmt.Sprintf("%s %q: want %s", cmd.CommandPath(), args[0], want)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if m.from != 1 && args[0] != "sql" {
				return &usageError{what: "--from is of sql", hint: "duly migrate sql --from 1"}
			}
			switch m.word = args[0]; m.word {
			case "up":
				return m.up(cmd.Context())
			case "status":
				return m.status(cmd.Context())
			}
			return m.sql()
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	m.where.register(cmd)
	flags.IntVar(&m.from, "from", 1, "of sql: begin with version `N`")
	outputFlag(cmd, &m.output)
	return cmd
}

// A storeFlags is where tasks are, for commands that look at a database themselves.
type storeFlags struct {
	store, schema string
	pooler        bool
}

func (f *storeFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.store, "store", "", "the database at `URL`, postgres://user@host/database (default: DULY_STORE)")
	cmd.Flags().StringVar(&f.schema, "schema", "", "the `NAME` of the schema that the tables are in (default: DULY_SCHEMA, else duly)")
	cmd.Flags().BoolVar(&f.pooler, "pooler", false, "what is at URL is a pooler that hands out connections for one transaction at a time (default: DULY_POOLER)")
}

// options are those of the store.
func (f *storeFlags) options(s *session) (o postgres.Options, err error) {
	o = postgres.Options{Schema: s.or(f.schema, "DULY_SCHEMA"), Pooler: f.pooler, Logger: slog.New(slog.DiscardHandler)}
	if word := s.getenv("DULY_POOLER"); word != "" && !f.pooler {
		if o.Pooler = word == "true"; !o.Pooler && word != "false" {
			return o, &usageError{what: fmt.Sprintf("DULY_POOLER %q: want true or false", word)}
		}
	}
	return o, f.checkSchema(o.Schema)
}

func (f *storeFlags) checkSchema(schema string) error {
	_, err := postgres.MigrationSQL(1, schema)
	if e, ok := errors.AsType[*store.Error](err); ok {
		return &usageError{what: fmt.Sprintf("%s %q: want %s", f.said("schema", f.schema), schema, e.Want)}
	}
	return err
}

// said is where something was given.
func (f *storeFlags) said(name, value string) string {
	if value != "" {
		return flag(name)
	}
	return "DULY_" + strings.ToUpper(name)
}

// address is the database that is meant, if one is.
func (f *storeFlags) address(s *session) (database.Address, error) {
	a, want := database.Parse(s.or(f.store, "DULY_STORE"))
	if want != "" {
		return a, &usageError{what: f.said("store", f.store) + ": want " + want}
	}
	return a, nil
}

// SchemaState is what duly migrate prints; docs/cli-json.md promises it.
type SchemaState struct {
	Store      string `json:"store"`
	Schema     string `json:"schema"`
	Server     string `json:"server"`
	Before     *int   `json:"before,omitempty"` // of up
	Version    int    `json:"version"`          // 0 is none
	Compatible int    `json:"compatible"`
	Wanted     int    `json:"wanted"`
	Fits       bool   `json:"fits"`
}

// Migration is a version of the schema; docs/cli-json.md promises it.
type Migration struct {
	Version int    `json:"version"`
	SQL     string `json:"sql"`
}

// find returns the database that is meant, and what there is.
func (m *migrating) find() (database.Address, postgres.Options, error) {
	if named := m.s.or(m.where.store, "DULY_STORE"); named == "" || named == "directory" {
		return database.Address{}, postgres.Options{}, &usageError{
			what: "it is not said which database: neither --store nor DULY_STORE is there",
			hint: "duly migrate " + m.word + " --store postgres://user@host/database",
		}
	}
	a, err := m.where.address(m.s)
	if err != nil {
		return a, postgres.Options{}, err
	}
	o, err := m.where.options(m.s)
	return a, o, err
}

func schemaOf(a database.Address, schema string, x *postgres.Schema) *SchemaState {
	if schema == "" {
		schema = "duly"
	}
	return &SchemaState{Store: a.String(), Schema: schema, Server: x.Server, Version: x.Version, Compatible: x.Compatible, Wanted: x.Wanted, Fits: x.Fits()}
}

// up brings the schema to this program's version.
func (m *migrating) up(ctx context.Context) error {
	a, o, err := m.find()
	if err != nil {
		return err
	}
	before, after, err := daemon.Migrate(ctx, a, o)
	if err != nil {
		return err
	}
	st := schemaOf(a, o.Schema, &after)
	st.Before = &before.Version
	if m.output != "table" {
		err = m.s.printer().object(m.output, st)
	} else {
		err = m.s.printer().linef("schema %s of %s: %s", st.Schema, st.Store, moved(before.Version, after.Version))
	}
	if err == nil && !st.Fits {
		err = &failure{status: exitFailed, what: daemon.Unfit(after, a, st.Schema)}
	}
	return err
}

// moved says from what to what.
func moved(before, after int) string {
	switch before {
	case after:
		return fmt.Sprintf("it was of version %d already", after)
	case 0:
		return fmt.Sprintf("made, of version %d", after)
	}
	return fmt.Sprintf("from version %d to version %d", before, after)
}

// status tells what there is.
func (m *migrating) status(ctx context.Context) error {
	a, o, err := m.find()
	if err != nil {
		return err
	}
	found, err := daemon.Schema(ctx, a, o)
	if err != nil {
		return err
	}
	st, p := schemaOf(a, o.Schema, &found), m.s.printer()
	switch {
	case m.output != "table":
		err = p.object(m.output, st)
	case st.Version == 0:
		err = p.linef("schema %s of %s, PostgreSQL %s: there is none", st.Schema, st.Store, st.Server)
	default:
		err = p.linef("schema %s of %s, PostgreSQL %s: version %d, for programs of version %d and newer; this one works on %d", st.Schema, st.Store, st.Server,
			st.Version, st.Compatible, st.Wanted)
	}
	switch {
	case err != nil || st.Fits:
		return err
	case st.Version == 0:
		return &failure{exitFailed, "there are no tables yet", "duly serve makes them, or duly migrate up"}
	}
	return &failure{status: exitFailed, what: daemon.Unfit(found, a, st.Schema)}
}

// sql prints the statements.
func (m *migrating) sql() error {
	if m.from < 1 || m.from > postgres.Wanted {
		return &usageError{what: fmt.Sprintf("--from %d: want 1 to %d", m.from, postgres.Wanted)}
	}
	o, err := m.where.options(m.s)
	if err != nil {
		return err
	}
	p := m.s.printer()
	for v := m.from; v <= postgres.Wanted; v++ {
		text, err := postgres.MigrationSQL(v, o.Schema)
		if err != nil {
			return err
		}
		if m.output != "table" {
			err = p.object(m.output, &Migration{v, text})
		} else {
			err = p.write("begin;\n\n" + strings.TrimRight(text, "\n") + "\n\ncommit;\n")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
