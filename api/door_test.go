package api

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

const validJob = `{"site":"dc1","spec":{"engine":{"name":"flink","version":"1.20.5"},"artifact":"sha256:%s","entryClass":"io.sluice.jobs.Counter"}}`

func TestEveryOperationHasADoor(t *testing.T) {
	document, err := loadDocument()
	require.NoError(t, err)
	require.NoError(t, document.Validate(t.Context()))
	w := assemble(t, nil, nil)
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.Extensions["x-sluice-role"] == "none" {
				continue
			}
			address := strings.NewReplacer("{tenant}", "shop", "{job}", "orders", "{number}", "1", "{digest}", "sha256:x", "{profile}", "p", "{operation}", "o").Replace(path)
			answer := w.do("", method, address, "")
			require.Equal(t, http.StatusUnauthorized, answer.Code, "%s %s", method, path)
			require.NotEmpty(t, answer.Header().Get("X-Request-Id"))
		}
	}
}

func TestWhoMay(t *testing.T) {
	w := assemble(t, nil, nil)
	for _, c := range []struct {
		name, token, method, path, body string
		want                            failure.Code
	}{
		{"no token", "", "GET", "/v1/tenants/shop/jobs", "", failure.Unauthorized},
		{"unknown token", "guess", "GET", "/v1/tenants/shop/jobs", "", failure.Unauthorized},
		{"another tenant that exists", operatorToken, "GET", "/v1/tenants/bank/jobs", "", failure.Forbidden},
		{"another tenant that doesn't", operatorToken, "GET", "/v1/tenants/nowhere/jobs", "", failure.Forbidden},
		{"escaped name of the own tenant", operatorToken, "GET", "/v1/tenants/%73hop/jobs", "", failure.Forbidden},
		{"unknown tenant, all tenants' token", adminToken, "GET", "/v1/tenants/nowhere/jobs", "", failure.NotFound},
		{"viewer writes", viewerToken, "PUT", "/v1/tenants/shop/jobs/orders", validJob, failure.Forbidden},
		{"operator writes a profile", operatorToken, "PUT", "/v1/tenants/shop/profiles/big", "{}", failure.Forbidden},
		{"a stranger's broken body", "", "PUT", "/v1/tenants/shop/jobs/orders", "{", failure.Unauthorized},
		{"no such address", adminToken, "GET", "/v1/elsewhere", "", failure.NotFound},
		{"no such method", adminToken, "DELETE", "/v1/tenants/shop/jobs", "", failure.NoMethod},
		{"the database is away", viewerToken, "GET", "/v1/tenants/shop/jobs", "", failure.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := w.do(c.token, c.method, c.path, c.body).problem(c.want)
			require.NotContains(t, p.Detail, "nowhere", "existence is not told")
		})
	}
	require.NotContains(t, w.log.String(), operatorToken)
	require.Contains(t, w.log.String(), "subject=otto")
}

func TestForbiddenSaysTheSameForWhatExistsAndWhatDoesNot(t *testing.T) {
	w := assemble(t, nil, nil)
	one := w.do(operatorToken, "GET", "/v1/tenants/bank/jobs", "").problem(failure.Forbidden)
	other := w.do(operatorToken, "GET", "/v1/tenants/nowhere/jobs", "").problem(failure.Forbidden)
	one.Instance, other.Instance = "", ""
	require.Equal(t, one, other)
}

func TestTheBodyIsCheckedByFieldAllAtOnce(t *testing.T) {
	w := assemble(t, nil, nil)
	body := `{"site":7,"spec":{"engine":{"name":"flink"},"artifact":"x","entryClass":"y","arguments":"z","colour":"red"},"extra":1}`
	p := w.do(operatorToken, "PUT", "/v1/tenants/shop/jobs/orders", body).problem(failure.Invalid)
	require.Subset(t, fieldNames(p), []string{"/site", "/spec/engine/version", "/spec/arguments"})
	require.Len(t, p.Errors, 5, "%v", p.Errors)

	for _, body := range []string{"{", "", "[]"} {
		w.do(operatorToken, "PUT", "/v1/tenants/shop/jobs/orders", body, "Content-Type", "application/json").problem(failure.Invalid)
	}
	w.do(operatorToken, "PUT", "/v1/tenants/shop/jobs/orders", `{}`, "Content-Type", "text/plain").problem(failure.Invalid)
	w.do(operatorToken, "PUT", "/v1/tenants/shop/jobs/orders", `{"site":"`+strings.Repeat("x", maxBody)+`"}`).problem(failure.TooLarge)
	w.do(operatorToken, "GET", "/v1/tenants/shop/jobs?limit=0", "").problem(failure.Invalid)
	w.do(operatorToken, "GET", "/v1/tenants/shop/jobs?limit=many", "").problem(failure.Invalid)
}

func TestJobFieldsAreCheckedAllAtOnce(t *testing.T) {
	w := assemble(t, nil, nil)
	body := `{"site":"DC 1","spec":{"engine":{"name":"flink","version":"9.9"},"artifact":"sha256:` + strings.Repeat("a", 64) + `",
		"entryClass":"not a class","arguments":["--password=x"],"options":{"rest.port":"1","Bad Name":"2","state.backend.type":"hashmap"}}}`
	p := w.do(operatorToken, "PUT", "/v1/tenants/shop/jobs/Orders_", body).problem(failure.Invalid)
	require.ElementsMatch(t, []string{"job", "/site", "/spec/engine", "/spec/entryClass", "/spec/arguments/0", "/spec/options/rest.port", "/spec/options/Bad Name", "/spec/artifact"}, fieldNames(p))

	w.files.fail = failure.New(failure.Unavailable, "HDFS is away")
	w.do(operatorToken, "PUT", "/v1/tenants/shop/jobs/orders", fmt.Sprintf(validJob, strings.Repeat("a", 64))).problem(failure.Unavailable)
}

func TestArtifacts(t *testing.T) {
	w := assemble(t, nil, nil)
	const path = "/v1/tenants/shop/artifacts"
	const jar = "PK\x03\x04 as a jar begins"
	digest := "sha256:" + hashed(jar)
	send := func(query string, headers ...string) answer {
		return w.do(operatorToken, "POST", path+query, jar, append([]string{"Content-Type", "application/java-archive"}, headers...)...)
	}
	first := send("?digest=" + digest)
	require.Equal(t, http.StatusCreated, first.Code, first.Body.String())
	require.Equal(t, path+"/"+digest, first.Header().Get("Location"))
	require.Equal(t, http.StatusOK, send("").Code, "a repeat")
	require.Equal(t, http.StatusOK, send("", "Digest", digest).Code)
	raw, err := hex.DecodeString(hashed(jar))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, send("", "Digest", "SHA-256="+base64.StdEncoding.EncodeToString(raw)).Code)
	send("", "Digest", "SHA-256=short").problem(failure.Invalid)

	send("?digest=sha256:zz").problem(failure.Invalid)
	send("", "Digest", "md5:1").problem(failure.Invalid)
	send("?digest="+digest, "Digest", "sha256:"+hashed("other")).problem(failure.Invalid)
	send("?digest=sha256:" + hashed("other")).problem(failure.Digest)
	w.do(operatorToken, "POST", path, jar, "Content-Type", "text/html").problem(failure.Invalid)
	w.do(viewerToken, "POST", path, jar, "Content-Type", "application/java-archive").problem(failure.Forbidden)

	found := w.do(viewerToken, "GET", path+"/"+digest, "")
	require.JSONEq(t, `{"digest":"`+digest+`","bytes":20}`, found.Body.String())
	require.Equal(t, "20", w.do(viewerToken, "HEAD", path+"/"+digest, "").Header().Get("Sluice-Artifact-Bytes"))
	require.Equal(t, http.StatusNotFound, w.do(viewerToken, "HEAD", path+"/sha256:"+hashed("x"), "").Code)
	w.do(viewerToken, "GET", path+"/sha256:"+hashed("x"), "").problem(failure.NotFound)
}

func TestAnUploadThatIsTooLargeIsRefusedBeforeItIsRead(t *testing.T) {
	w := assemble(t, nil, nil)
	server := httptest.NewServer(w.api.web)
	defer server.Close()
	body := &untouched{}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/tenants/shop/artifacts", body)
	require.NoError(t, err)
	request.ContentLength = maxArtifact + 1
	request.Header.Set("Authorization", "Bearer "+operatorToken)
	request.Header.Set("Content-Type", "application/java-archive")
	request.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 1 << 40}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, failure.TooLarge, problem.Parse(response).Code)
	require.False(t, body.read)
}

type untouched struct{ read bool }

func (u *untouched) Read([]byte) (int, error) {
	u.read = true
	return 0, io.ErrUnexpectedEOF
}

func TestAPanicIsAProblemWithoutItsText(t *testing.T) {
	w := assemble(t, nil, nil)
	w.api.web.GET("/boom", func(echo.Context) error { panic("secret detail") })
	p := w.do("", "GET", "/boom", "").problem(failure.Internal)
	require.Empty(t, p.Detail)
	require.Contains(t, w.log.String(), "secret detail", "the log has it")
}

func TestPages(t *testing.T) {
	w := assemble(t, nil, nil)
	require.Equal(t, http.StatusOK, w.do("", "GET", "/healthz", "").Code)
	w.do("", "GET", "/readyz", "").problem(failure.Unavailable)
	w.api.ready.Store(true)
	require.Equal(t, http.StatusOK, w.do("", "GET", "/readyz", "").Code)
	require.Contains(t, w.do("", "GET", "/v1/openapi.yaml", "").Body.String(), "openapi: 3.0.3")
	require.Contains(t, w.do("", "GET", "/v1/version", "").Body.String(), `"version"`)
	for _, kind := range problem.Kinds {
		page := w.do("", "GET", problem.TypePrefix+string(kind.Code), "")
		require.Equal(t, http.StatusOK, page.Code)
		require.Contains(t, page.Body.String(), kind.Title)
	}
	w.do("", "GET", "/problems/none", "").problem(failure.NotFound)
	recorder := httptest.NewRecorder()
	w.api.metrics.handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.Contains(t, recorder.Body.String(), "sluice_api_request_duration_seconds_bucket")
}

func TestTokensAreReadAgainWhenTheFileChanges(t *testing.T) {
	w := assemble(t, nil, nil)
	const path = "/v1/tenants/shop/jobs"
	replace := func(content string) { // as Kubernetes does: another file behind the name
		next := w.api.config.TokensFile + ".next"
		require.NoError(t, os.WriteFile(next, []byte(content), 0o600))
		require.NoError(t, os.Rename(next, w.api.config.TokensFile))
	}
	replace("tokens:\n- {sha256: " + hashed("fresh") + ", subject: new, tenant: shop, role: viewer}\n")
	w.do(viewerToken, "GET", path, "").problem(failure.Unauthorized)
	w.do("fresh", "GET", path, "").problem(failure.Unavailable) // let in
	replace("tokens: [{role: king}]")
	w.do("fresh", "GET", path, "").problem(failure.Unavailable)
	require.NoError(t, os.Remove(w.api.config.TokensFile))
	w.do("fresh", "GET", path, "").problem(failure.Unavailable)
}

func TestParseTokens(t *testing.T) {
	sum := hashed("x")
	for name, c := range map[string]struct {
		content string
		ok      bool
	}{
		"good":        {"tokens: [{sha256: " + sum + ", subject: a, tenant: shop, role: viewer}]", true},
		"none":        {"tokens: []", true},
		"short hash":  {"tokens: [{sha256: abcd, subject: a, tenant: shop, role: viewer}]", false},
		"no subject":  {"tokens: [{sha256: " + sum + ", tenant: shop, role: viewer}]", false},
		"bad tenant":  {"tokens: [{sha256: " + sum + ", subject: a, tenant: 'S', role: viewer}]", false},
		"role none":   {"tokens: [{sha256: " + sum + ", subject: a, tenant: shop, role: none}]", false},
		"unknown key": {"tokens: [{sha256: " + sum + ", subject: a, tenant: shop, role: viewer, x: 1}]", false},
		"not yaml":    {"{", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseTokens([]byte(c.content))
			require.Equal(t, c.ok, err == nil, "%v", err)
		})
	}
}
