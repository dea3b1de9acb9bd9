package hostile

import (
	"net/http"
	"strings"

	"sluice/internal/failure"
)

func addresses() []Request {
	long := strings.Repeat("a", 31)
	return []Request{
		// Ways out of the tenant, in each writing.
		get("dots", jobs+"/../../../../etc/passwd", "").refused(failure.NotFound, "nothing at this address"),
		get("dots into another tenant", jobs+"/../../bank/jobs", "").refused(failure.NotFound, "nothing at this address"),
		get("escaped dots", jobs+"/%2e%2e", "job"),
		get("dots and an escaped slash", jobs+"/..%2f..%2fbank", "job"),
		get("twice escaped dots", jobs+"/%252e%252e", "job"),
		get("a zero byte", jobs+"/orders%00", "job"),
		get("a line end", jobs+"/orders%0d%0aX-Evil:%201", "job"),
		get("an escape sequence of a terminal", jobs+"/%1b%5b2J", "job"),
		get("half an escape", jobs+"/%e0%80", "job"),
		{Name: "a broken escape", Method: "GET", Path: jobs + "/%zz", Plain: http.StatusBadRequest},
		{Name: "a control character in the request line", Method: "GET", Path: jobs + "/a\x01b", Plain: http.StatusBadRequest},
		{Name: "70 KB of address", Method: "GET", Path: jobs + "/" + strings.Repeat("a", 70<<10), Plain: http.StatusRequestHeaderFieldsTooLarge},
		get("8 KB of name", jobs+"/"+strings.Repeat("a", 8<<10), "job").saying("8192 characters"),
		get("double slashes", "//v1//tenants/{tenant}/jobs", "").refused(failure.NotFound, ""),
		get("a backslash", jobs+`/..\..\bank`, "job"),
		// Names.
		get("capital letters", jobs+"/Orders", "job"),
		get("31 characters", jobs+"/"+long, "job").saying("31 characters"),
		get("letters that only look like others", jobs+"/%D0%BErders", "job"),
		get("a right-to-left mark", jobs+"/orders%E2%80%AE", "job"),
		get("full-width letters", jobs+"/%EF%BD%8F%EF%BD%92", "job"),
		get("a name of a profile that is none", tenant+"/profiles/-big-", "profile"),
		{Name: "a job named as Kubernetes' own account", Method: "PUT", Path: jobs + "/default", Body: job(""), Code: "invalid", Field: "job", Says: "reserved"},
		{Name: "a job named as the worker's role", Method: "PUT", Path: jobs + "/sluice-worker", Body: job(""), Code: "invalid", Field: "job", Says: "reserved"},
		{Name: "a job of 31 characters", Method: "PUT", Path: jobs + "/" + long, Body: job(""), Code: "invalid", Field: "job"},
		{Name: "a job of dots", Method: "PUT", Path: jobs + "/%2e%2e", Body: job(""), Code: "invalid", Field: "job"},
		get("no such job", jobs+"/hostile-new", "").refused(failure.NotFound, "").deep(),
		get("an operation that is no ULID", tenant+"/operations/1%20OR%201=1", "operation"),
		get("an operation in lower case", tenant+"/operations/01m83gb2nkmwnmprpq18s0919b", "operation"),
		get("an operation that isn't there", tenant+"/operations/01M83GB2NKMWNMPRPQ18S0919B", "").refused(failure.NotFound, "").deep(),
		get("revision 0", known+"/revisions/0", "number"),
		get("a negative revision", known+"/revisions/-1", "number"),
		get("a revision of 20 digits", known+"/revisions/99999999999999999999", "number"),
		get("a revision with a fraction", known+"/revisions/1.5", "number"),
		get("a short digest", artifacts+"/sha256:abc", "digest"),
		get("a digest in capital letters", artifacts+"/sha256:"+strings.Repeat("AB", 32), "digest"),
		get("a digest that leads away", artifacts+"/sha256:..%2f..%2f..%2fjobs", "digest"),
		get("a digest without its kind", artifacts+"/"+strings.Repeat("ab", 32), "digest"),
		{Name: "a digest that leads away, HEAD", Method: "HEAD", Path: artifacts + "/sha256:..%2f", Code: "invalid"},
		// Pages.
		get("page of no entries", jobs+"?limit=0", "limit"),
		get("page of 501", jobs+"?limit=501", "limit"),
		get("page of half an entry", jobs+"?limit=0.5", "limit"),
		get("two sizes of a page", jobs+"?limit=1&limit=2", "limit"),
		get("a page behind SQL", jobs+"?after=x%27%3BDROP%20TABLE%20jobs--", "after"),
		get("a page behind a zero byte", jobs+"?after=%00", "after"),
		get("a page before no id", tenant+"/operations?before=zzz", "before"),
		get("a page below nothing", known+"/revisions?below=-1", "below"),
		get("a negative wait", operation+"?wait=-1s", "wait"),
		get("a wait of a day", operation+"?wait=24h", "wait"),
		get("a wait without a unit", operation+"?wait=20", "wait"),
		get("a version of 20 digits", operation+"?version=99999999999999999999", "version"),
	}
}

func methods() []Request {
	return []Request{
		{Name: "DELETE of all jobs", Method: "DELETE", Path: jobs, Code: failure.NoMethod, Says: "Allow"},
		{Name: "DELETE of a job", Method: "DELETE", Path: known, Code: failure.NoMethod},
		{Name: "PATCH", Method: "PATCH", Path: known, Body: "{}", Code: failure.NoMethod},
		{Name: "TRACE", Method: "TRACE", Path: known, Code: failure.NoMethod},
		{Name: "a method that nobody knows", Method: "EXPLODE", Path: known, Code: failure.NoMethod},
		{Name: "a method in small letters", Method: "get", Path: known, Code: failure.NoMethod},
		{Name: "another method in a header", As: Viewer, Method: "GET", Path: known + "/nothing", Header: []string{"X-HTTP-Method-Override", "PUT"}, Code: failure.NotFound},
		{Name: "HEAD of a page", Method: "HEAD", Path: "/healthz", Code: failure.NoMethod},
		{Name: "no such problem", Method: "GET", Path: "/problems/%00", Code: failure.NotFound},
		{Name: "no such address", Method: "GET", Path: "/v2/tenants", Code: failure.NotFound},
		{Name: "POST of a probe", Method: "POST", Path: "/healthz", Code: failure.NoMethod},
	}
}

func callers() []Request {
	list := Request{Method: "GET", Path: jobs, As: Stranger, Code: failure.Unauthorized}
	named := func(name string, header ...string) Request {
		r := list.with(header...)
		r.Name = name
		return r
	}
	return []Request{
		named("no token"),
		named("an empty token", "Authorization", "Bearer "),
		named("a token without its scheme", "Authorization", Secret),
		named("a name and a password", "Authorization", "Basic c2x1aWNlOmh1bnRlcjI="),
		named("a guess", "Authorization", "Bearer "+Secret),
		named("a token of another kind, long expired", "Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImV4cCI6MX0."),
		named("16 KB of token", "Authorization", "Bearer "+strings.Repeat("a", 16<<10)),
		named("a wildcard", "Authorization", "Bearer *"),
		{Name: "a token in the address", As: Stranger, Method: "GET", Path: jobs + "?access_token=" + Secret, Code: failure.Unauthorized},
		{Name: "another tenant's jobs", Method: "GET", Path: "/v1/tenants/faults/jobs", Code: failure.Forbidden},
		{Name: "the wildcard as a tenant", Method: "GET", Path: "/v1/tenants/*/jobs", Code: failure.Forbidden},
		{Name: "the own tenant, escaped", Method: "GET", Path: "/v1/tenants/%73hop/jobs", Code: failure.Forbidden},
		{Name: "no such tenant", As: Admin, Method: "GET", Path: "/v1/tenants/nowhere/jobs", Code: failure.NotFound},
		{Name: "a tenant of dots", As: Admin, Method: "GET", Path: "/v1/tenants/%2e%2e/jobs", Code: failure.NotFound},
		{Name: "a viewer declares a job", As: Viewer, Method: "PUT", Path: unknown, Body: job(""), Code: failure.Forbidden, Says: "operator"},
		{Name: "a viewer starts an operation", As: Viewer, Method: "POST", Path: started, Body: `{"kind":"stop"}`, Code: failure.Forbidden},
		{Name: "a viewer cancels", As: Viewer, Method: "POST", Path: operation + "/cancel", Code: failure.Forbidden},
		{Name: "a viewer pushes", As: Viewer, Method: "POST", Path: artifacts, Header: jarType, Body: jar(manifest), Code: failure.Forbidden},
		{Name: "an operator writes a profile", Method: "PUT", Path: newProfile, Body: profile("1", "1024", "1", "1728", "1", "2", "2"), Code: failure.Forbidden, Says: "admin"},
		{Name: "an operator leaves state behind", Method: "POST", Path: started, Body: `{"kind":"start","stateless":true}`, Code: failure.Forbidden, Says: "stateless"},
		{Name: "an operator allows the loss of state", Method: "POST", Path: started, Body: `{"kind":"upgrade","allowStateLoss":true}`, Code: failure.Forbidden},
		{Name: "a stranger's broken body", As: Stranger, Method: "PUT", Path: unknown, Body: "{", Code: failure.Unauthorized},
	}
}

func headers() []Request {
	stop := post("", `{"kind":"explode"}`, "Idempotency-Key")
	key := func(name, value string) Request {
		r := stop.with("Idempotency-Key", value)
		r.Name = name
		return r
	}
	events := func(name, value string) Request {
		return get(name, operation+"/events", "Last-Event-ID").with("Last-Event-ID", value)
	}
	return []Request{
		key("an empty key", ""),
		key("a key of 201 characters", strings.Repeat("k", 201)),
		key("a key with a blank", "a b"),
		key("a key that is no ASCII", "schl\u00fcssel"),
		key("two keys", "a\r\nIdempotency-Key: b"),
		{Name: "a key with a control character", Method: "POST", Path: started, Header: []string{"Idempotency-Key", "a\x01b"}, Body: `{"kind":"stop"}`, Plain: http.StatusBadRequest},
		post("a key of another request", `{"kind":"savepoint","reason":"another"}`, "Idempotency-Key").with("Idempotency-Key", "{key}").deep(),
		events("an event that never was", "x"),
		events("a negative event", "-1"),
		events("an event of 20 digits", "99999999999999999999"),
		events("an event behind the end", "1-end-end"),
		{Name: "two lengths", Method: "POST", Path: started, Header: []string{"Content-Length", "5"}, Body: `{"kind":"stop"}`, Plain: http.StatusBadRequest},
		{Name: "no HTTP", Method: "GET", Path: jobs + " HTTP/9.9\r\nX: y", Plain: http.StatusHTTPVersionNotSupported},
		{Name: "70 KB of header", Method: "GET", Path: jobs, Header: []string{"X-Filler", strings.Repeat("x", 70<<10)}, Plain: http.StatusRequestHeaderFieldsTooLarge},
	}
}
