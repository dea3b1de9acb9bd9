package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

func TestAWrongMethodIsToldWithThoseThatAre(t *testing.T) {
	w := assemble(t, nil, nil)
	for _, c := range []struct{ method, path, allow string }{
		{"DELETE", "/v1/tenants/shop/jobs", "OPTIONS, GET"},
		{"DELETE", "/v1/tenants/shop/jobs/orders", "OPTIONS, GET, PUT"},
		{"GET", "/v1/tenants/shop/operations/x/cancel", "OPTIONS, POST"},
		{"POST", "/healthz", "OPTIONS, GET"},
	} {
		answer := w.do(adminToken, c.method, c.path, "")
		answer.problem(failure.NoMethod)
		require.Equal(t, http.StatusMethodNotAllowed, answer.Code)
		require.Equal(t, c.allow, answer.Header().Get("Allow"), c.path)
	}
	options := w.do("", "OPTIONS", "/v1/tenants/shop/jobs", "")
	require.Equal(t, http.StatusNoContent, options.Code)
	require.Equal(t, "OPTIONS, GET", options.Header().Get("Allow"))
	require.Equal(t, http.StatusMethodNotAllowed, w.do("", "HEAD", "/healthz", "").Code)
	w.do("", "OPTIONS", "/v1/elsewhere", "").problem(failure.NotFound)
	w.do("", "GET", "/", "").problem(failure.NotFound)
}

func TestEveryMalformedRequestNamesItsField(t *testing.T) {
	w := assemble(t, nil, nil)
	const jobs, operations, profiles = "/v1/tenants/shop/jobs", "/v1/tenants/shop/jobs/orders/operations", "/v1/tenants/shop/profiles/big"
	profile := `{"jobManager":{"cpu":"1","memoryMiB":%s},"taskManager":{"cpu":"1","memoryMiB":1728,"replicas":2,"slots":2},"parallelism":4}`
	for _, c := range []struct{ name, method, path, body, want string }{
		{"20 digits", "POST", operations, `{"kind":"upgrade","revision":99999999999999999999}`, "/revision"},
		{"20 digits, nested", "PUT", profiles, fmt.Sprintf(profile, "99999999999999999999"), "/jobManager/memoryMiB"},
		{"over a float64", "POST", operations, `{"kind":"upgrade","revision":1e999}`, "/revision"},
		{"an exponent", "POST", operations, `{"kind":"upgrade","soakSeconds":1e2}`, "/soakSeconds"},
		{"broken JSON", "POST", operations, `{"kind":`, "body"},
		{"no body", "POST", operations, "", "body"},
		{"no object", "POST", operations, `[]`, "body"},
		{"junk behind the document", "POST", operations, `{"kind":"start"} {"kind":"stop"}`, "body"},
		{"too deep", "POST", operations, strings.Repeat("[", 20_000), "body"},
		{"a key twice", "POST", operations, `{"kind":"start","kind":"stop"}`, "/kind"},
		{"a key twice, escaped", "POST", operations, `{"kind":"start","\u006bind":"stop"}`, "/kind"},
		{"a key twice, nested", "PUT", jobs + "/orders", `{"site":"dc1","spec":{"engine":{"name":"flink","version":"1","name":"x"},"artifact":"a","entryClass":"b"}}`, "/spec/engine/name"},
		{"a key twice, in a list", "PUT", jobs + "/orders", `{"site":[{"x":1},{"x":1,"y":{},"x":2}]}`, "/site/1/x"},
		{"a key twice beside a number over a float64", "POST", operations, `{"kind":1e999,"kind":"stop"}`, "/kind"},
		{"junk behind an optional body", "POST", "/v1/tenants/shop/operations/x/cancel", `{}}`, "body"},
		{"a parameter twice", "GET", jobs + "?limit=1&limit=2", "", "limit"},
		{"a parameter of 20 digits", "GET", jobs + "/orders/revisions?below=99999999999999999999", "", "below"},
		{"no id", "GET", "/v1/tenants/shop/operations?before=zzz", "", "before"},
		{"no id, of a job", "GET", operations + "?before=01M83GB2NKMWNMPRPQ18S0919", "", "before"},
		{"an id in lower case, which sorts elsewhere", "GET", operations + "?before=01m83gb2nkmwnmprpq18s0919b", "", "before"},
		{"no name", "GET", jobs + "?after=Orders_", "", "after"},
		{"a zero byte", "GET", jobs + "?after=%00", "", "after"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := w.do(adminToken, c.method, c.path, c.body, "Content-Type", "application/json").problem(failure.Invalid)
			require.Equal(t, []string{c.want}, fieldNames(p), "%v", p)
			require.NotEmpty(t, p.Errors[0].Reason)
		})
	}
	p := w.do(adminToken, "POST", operations, `{}`, "Content-Type", "text/plain").problem(failure.Invalid)
	require.Equal(t, []string{"Content-Type"}, fieldNames(p))

	// Cursors that are right come as far as the record store.
	for _, path := range []string{jobs + "?after=orders", "/v1/tenants/shop/operations?before=01M83GB2NKMWNMPRPQ18S0919B", operations} {
		w.do(adminToken, "GET", path, "").problem(failure.Unavailable)
	}
}

func TestADoubledHeaderIsNamed(t *testing.T) {
	w := assemble(t, nil, nil)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/tenants/shop/jobs/orders/operations", strings.NewReader(`{"kind":"start"}`))
	request.Header = http.Header{"Authorization": {"Bearer " + operatorToken}, "Content-Type": {"application/json"}, "Idempotency-Key": {"a", "b"}}
	recorder := httptest.NewRecorder()
	w.api.web.ServeHTTP(recorder, request)
	p := answer{recorder, t}.problem(failure.Invalid)
	require.Equal(t, []string{"Idempotency-Key"}, fieldNames(p))
}
