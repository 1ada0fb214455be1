package daemon

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// The secrets that callbacks are signed with are replaced while the daemon runs: the newest first, both for a while, and after SIGHUP the
// removed one signs no more.
func TestReload_RotatesSignatures(t *testing.T) {
	if reloadSignal == nil {
		t.Skip("SKIPPED, NOT TESTED: there is no signal to reload by on this system")
	}
	asked := make(chan http.Header, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the answer is not sent before
		asked <- r.Header
	}))
	defer s.Close()
	old, next, dir := target.NewSecret(), target.NewSecret(), t.TempDir()
	hooks := write(t, dir, "hooks", old)
	f := serveIn(t, shortDir(t), usualLimits, "webhook_secrets: "+hooks+"\nallow_private: true\n")
	c := f.socketClient()
	for i, secrets := range [][]string{{old}, {next, old}, {next}, {old}} {
		if i > 0 {
			write(t, dir, "hooks", "# the newest first\n"+strings.Join(secrets, "\n")+"\n")
			f.signals <- reloadSignal
			f.log.Times(t, "msg=reloaded", i)
		}
		e, err := c.Put(t.Context(), "hook", api.Spec{HTTP: &target.Callback{URL: s.URL, Body: "a.b"}, In: in(0)})
		if err != nil {
			t.Fatal(err)
		}
		h := <-asked
		var want []string
		for _, text := range secrets {
			key, err := target.ParseSecret(text)
			if err != nil {
				t.Fatal(err)
			}
			mac := hmac.New(sha256.New, key)
			_, _ = io.WriteString(mac, h.Get("Webhook-Id")+"."+h.Get("Webhook-Timestamp")+".a.b")
			want = append(want, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		}
		if got := h.Get("Webhook-Signature"); got != strings.Join(want, " ") {
			t.Errorf("with %d secrets: the signatures are %q, want %q", len(secrets), got, want)
		}
		if _, err := c.Await(t.Context(), "hook", e.Generation); err != nil {
			t.Error(err)
		}
	}
}
