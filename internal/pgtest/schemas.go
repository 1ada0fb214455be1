package pgtest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Schemas are the schemas of one database that look all alike when a test gets one. Making one takes ten times as long as emptying
// one, so that many tests, one after the other, do with few.
type Schemas struct {
	s        *Server
	database string
	made     func(schema string) error
	prefix   string // of the names of all of them

	mu    sync.Mutex
	all   []string
	free  []string // used, and of nobody
	empty string   // statements that empty schemaWord: it would be any, for they have the same tables
}

const (
	schemaWord = "schema_to_empty"
	schemaMost = 1 << 20 // bytes of tables and indexes that a schema has grown to that is not used again
)

// Schemas returns the schemas of a database, each made by a function that is called with the name of one that does not exist. They are
// dropped when the test has ended.
func (s *Server) Schemas(t testing.TB, database string, made func(schema string) error) *Schemas {
	t.Helper()
	c := &Schemas{s: s, database: database, made: made, prefix: "s" + strings.ToLower(rand.Text()[:12]) + "_"}
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, name := range c.all {
			if _, err := s.ask(database, "DROP SCHEMA IF EXISTS "+name+" CASCADE"); err != nil {
				t.Errorf("drop schema %s: %v", name, err)
			}
		}
	})
	return c
}

// Get returns the name of a schema that is the test's until it ends. Its rows and sequences are those of a new one. A test changes
// nothing else in it, and has nothing open in it when it has ended.
func (c *Schemas) Get(t testing.TB) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	name, err := c.getLocked()
	if err != nil {
		t.Fatalf("get a schema of database %s: %v", c.database, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			return // nobody knows what is in it
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.free = append(c.free, name)
	})
	return name
}

func (c *Schemas) getLocked() (string, error) {
	if c.empty == "" {
		if err := c.modelLocked(); err != nil {
			return "", err
		}
	}
	for len(c.free) > 0 {
		name := c.free[len(c.free)-1]
		c.free = c.free[:len(c.free)-1]
		small, err := c.s.ask(c.database, fmt.Sprintf("SELECT sum(pg_total_relation_size(oid)) <= %d FROM pg_class "+
			"WHERE relkind = 'r' AND relnamespace = '%s'::regnamespace", schemaMost, name))
		if err != nil {
			return "", err
		}
		if slices.Equal(small, []string{"t"}) { // in a large one what was deleted is in the way until it is vacuumed
			_, err := c.s.ask(c.database, strings.ReplaceAll(c.empty, schemaWord, name))
			return name, err
		}
	}
	return c.makeLocked()
}

func (c *Schemas) makeLocked() (string, error) {
	name := fmt.Sprint(c.prefix, len(c.all))
	c.all = append(c.all, name)
	return name, c.made(name)
}

// modelLocked makes the schema that nobody works in: it shows what the others have at first, and what has to be done to have them so again.
func (c *Schemas) modelLocked() error {
	model, err := c.makeLocked()
	if err != nil {
		return err
	}
	const ask = `
WITH tables AS (SELECT oid::bigint AS n, quote_ident(relname) AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = '%[1]s'::regnamespace)
SELECT done FROM (
	SELECT 1 AS step, -n AS n, 'DELETE FROM %[2]s.' || name AS done FROM tables -- what refers to others was made after them
	UNION ALL SELECT 2, n, 'INSERT INTO %[2]s.' || name || ' OVERRIDING SYSTEM VALUE SELECT * FROM %[1]s.' || name FROM tables
	UNION ALL SELECT 3, 0, format('SELECT setval(''%[2]s.%%1$I'', last_value, is_called) FROM %[1]s.%%1$I', relname)
	FROM pg_class WHERE relkind = 'S' AND relnamespace = '%[1]s'::regnamespace) AS steps
ORDER BY step, n`
	statements, err := c.s.ask(c.database, fmt.Sprintf(ask, model, schemaWord))
	if err != nil {
		return err
	}
	if len(statements) == 0 {
		return fmt.Errorf("schema %s has no tables", model)
	}
	c.empty = strings.Join(statements, ";\n")
	return nil
}
