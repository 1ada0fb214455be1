package pgtest

import (
	"slices"
	"strings"
	"testing"
)

// A schema that a test gets is as a new one, whatever was written in it before; one that has grown, or whose test has failed, nobody
// gets again.
func TestSchemas(t *testing.T) {
	s := Shared(t)
	url := s.Database(t)
	database, _, _ := strings.Cut(url[strings.LastIndex(url, "/")+1:], "?")
	run := func(t *testing.T, schema, sql string) []string {
		t.Helper()
		rows, err := s.Query(database, strings.ReplaceAll(sql, "x.", schema+"."))
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	made := 0
	var names []string
	t.Run("", func(t *testing.T) {
		all := s.Schemas(t, database, func(schema string) error {
			made++
			run(t, schema, "CREATE SCHEMA "+schema)
			run(t, schema, `CREATE SEQUENCE x.seq;
CREATE TABLE x.a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
CREATE TABLE x.b (id int PRIMARY KEY, a int REFERENCES x.a);
INSERT INTO x.a (v) VALUES ('first'), (NULL); INSERT INTO x.b VALUES (1, 2)`)
			return nil
		})
		for i, write := range []string{
			"UPDATE x.a SET v = 'y'; INSERT INTO x.a (v) VALUES ('z'); INSERT INTO x.b VALUES (2, 3)",
			"DELETE FROM x.b; DELETE FROM x.a",
			"INSERT INTO x.a (v) SELECT repeat('much', 100) FROM generate_series(1, 10000)", // it is not used again
			"SELECT",
		} {
			t.Run("", func(t *testing.T) {
				name := all.Get(t)
				names = append(names, name)
				if other := all.Get(t); i == 0 && other == name {
					t.Errorf("%s is had twice", name)
				}
				got := run(t, name, "SELECT format('%s %s %s', a.id, v, b.id) FROM x.a LEFT JOIN x.b ON b.a = a.id ORDER BY a.id")
				if want := []string{"1 first ", "2  1"}; !slices.Equal(got, want) {
					t.Errorf("the %dth time there is %q, want %q", i, got, want)
				}
				if got := run(t, name, "SELECT nextval('x.seq')"); !slices.Equal(got, []string{"1"}) {
					t.Errorf("the %dth time the sequence begins with %q", i, got)
				}
				run(t, name, write)
			})
		}
	})
	if made != 4 {
		t.Errorf("%d schemas were made for %q, want 4: one to look at, two, and one for that which had grown", made, names)
	}
	if got := run(t, "", "SELECT nspname FROM pg_namespace WHERE nspname LIKE 's%\\_%' AND nspname <> 'information_schema'"); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}
