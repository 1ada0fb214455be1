package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
)

// tokens are who may do what, by the digest of their token: looking one up tells nothing of the others by how long it takes.
var tokens = map[[sha256.Size]byte][]api.Scope{
	sha256.Sum256([]byte("for the board")):     {api.Read},
	sha256.Sum256([]byte("for the operators")): {api.Read, api.Write},
}

func authorize(r *http.Request, need api.Scope) error {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	scopes, ok := tokens[sha256.Sum256([]byte(token))]
	switch {
	case !ok:
		return api.ErrUnauthenticated
	case !slices.Contains(scopes, need):
		return api.ErrForbidden
	}
	return nil
}

// An application mounts the handler below a path of its own, and says who may do what. Its tasks can then be seen and steered by
// programs, and by the command line: duly ls --url http://.../app/duly.
func Example() {
	d, err := duly.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = d.Close(context.Background()) }() // nothing runs
	duly.Handle(d, "remind", func(context.Context, *duly.Attempt[string]) error { return nil })

	mux := http.NewServeMux()
	mux.Handle("/app/duly/", api.New(d, api.Options{Prefix: "/app/duly", Authorize: authorize}))
	srv := httptest.NewServer(mux)
	defer srv.Close()

	ask := func(token, method, path, body string) {
		r, err := http.NewRequestWithContext(context.Background(), method, srv.URL+"/app/duly"+path, strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		res, err := srv.Client().Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = res.Body.Close() }() // it was read
		var answer struct{ Kind, Schedule, Outcome, Slug, Detail string }
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(method, path, res.StatusCode, strings.Join(strings.Fields(fmt.Sprint(answer)), " "))
	}
	const spec = `{"kind": "remind", "payload": "order 42", "schedule": "every 24h"}`
	ask("guessed", "PUT", "/v1/tasks/order%2F42", spec)
	ask("for the board", "PUT", "/v1/tasks/order%2F42", spec)
	ask("for the operators", "PUT", "/v1/tasks/order%2F42", spec)
	ask("for the operators", "PUT", "/v1/tasks/order%2F42", `{"kind": "remind", "in": 5}`)
	ask("for the board", "GET", "/v1/tasks/order%2F42", "")
	// Output:
	// PUT /v1/tasks/order%2F42 401 { unauthenticated it is not known who asks}
	// PUT /v1/tasks/order%2F42 403 { forbidden this is not allowed to whoever asks (the scope write is needed)}
	// PUT /v1/tasks/order%2F42 201 { created }
	// PUT /v1/tasks/order%2F42 400 { invalid in is 5, want text in quotation marks, as "90s", "3 days" or "tomorrow 17:00"}
	// GET /v1/tasks/order%2F42 200 {remind every 24h }
}
