// A receiver of callbacks does what each asks for once: it takes only those that are signed with a secret that it knows and are not old,
// and knows again what it has done.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: receiver whsec_SECRET...")
	}
	r := &receiver{now: time.Now, do: func(id, body string) error {
		log.Printf("%s asks for %q", id, body)
		return nil
	}}
	for _, s := range os.Args[1:] {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
		if err != nil || len(key) == 0 {
			log.Fatal("want secrets as whsec_ and base64") // and says no more of it
		}
		r.secrets = append(r.secrets, key)
	}
	server := &http.Server{Addr: "127.0.0.1:8088", Handler: r, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	log.Printf("duly in 5s --post http://%s/ --body hello", server.Addr)
	log.Fatal(server.ListenAndServe())
}

const (
	tolerance = 5 * time.Minute // between the sender's clock and this one
	largest   = 1 << 20         // of a body
)

// A receiver answers callbacks.
type receiver struct {
	secrets [][]byte // while one replaces another, both
	now     func() time.Time
	do      func(id, body string) error // it is given what is signed, and nothing else

	mu   sync.Mutex
	done map[string]bool // by Webhook-Id; a real one keeps them beside what was done, in the same transaction
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, largest))
	if err != nil {
		http.Error(w, "want a body of at most 1 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	if err := r.verify(req.Header, body); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	// The id is that of the run, and the same when it is tried again: what was done and not heard of is not done twice. Neither other
	// headers nor the URL are signed: they may be anybody's, so nothing is done by them.
	id := req.Header.Get("Webhook-Id")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done[id] {
		_, _ = io.WriteString(w, "done before\n") // who does not hear it asks again
		return
	}
	if err := r.do(id, string(body)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError) // it is tried again
		return
	}
	if r.done == nil {
		r.done = map[string]bool{}
	}
	r.done[id] = true
	_, _ = io.WriteString(w, "done\n")
}

var errSignature = errors.New("want a signature of this body by a secret that is known here")

// verify says whether a request is from somebody who knows a secret, and was signed just now (https://www.standardwebhooks.com).
func (r *receiver) verify(h http.Header, body []byte) error {
	id, at := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if id == "" || err != nil {
		return errSignature
	}
	if off := r.now().Unix() - seconds; off > int64(tolerance.Seconds()) || off < -int64(tolerance.Seconds()) {
		return errors.New("want a timestamp of the last five minutes")
	}
	for _, key := range r.secrets {
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, id+"."+at+"."+string(body)) // the timestamp as it was sent, and the body as it was read
		want := mac.Sum(nil)
		for s := range strings.FieldsSeq(h.Get("Webhook-Signature")) {
			text, ok := strings.CutPrefix(s, "v1,")
			got, err := base64.StdEncoding.DecodeString(text)
			if ok && err == nil && hmac.Equal(got, want) { // which takes the same time wherever they differ
				return nil
			}
		}
	}
	return errSignature
}
