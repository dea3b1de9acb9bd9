package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
)

// profiles writes a manifest of each name; the server takes all but "bad".
func profiles(t *testing.T, names ...string) (file string) {
	t.Helper()
	s := serve(t)
	s.problem("PUT /v1/tenants/shop/profiles/bad", failure.New(failure.Forbidden, "no"))
	var text strings.Builder
	for _, name := range names {
		if name != "bad" {
			s.json("PUT /v1/tenants/shop/profiles/"+name, http.StatusOK, apiclient.Profile{Name: name})
		}
		fmt.Fprintf(&text, "---\nkind: Profile\nname: %s\n", name)
	}
	file = filepath.Join(t.TempDir(), "profiles.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	return file
}

func named(t *testing.T, text string) []string {
	t.Helper()
	var found []apiclient.Profile
	require.NoError(t, json.Unmarshal([]byte(text), &found), text)
	names := make([]string, len(found))
	for i, p := range found {
		names[i] = p.Name
	}
	return names
}

func TestApplyPrintsWhatAParserTakes(t *testing.T) {
	file := profiles(t, "big", "small")
	code, out, _ := sluice(t, "apply", "-f", file, "-o", "json")
	require.Equal(t, exitOK, code)
	require.Equal(t, []string{"big", "small"}, named(t, out))

	_, out, _ = sluice(t, "apply", "-f", file, "-o", "yaml")
	documents := strings.Split(out, "---\n")
	require.Len(t, documents, 2)
	for i, name := range []string{"big", "small"} {
		var p apiclient.Profile
		require.NoError(t, yaml.UnmarshalStrict([]byte(documents[i]), &p))
		require.Equal(t, name, p.Name)
	}

	file = profiles(t, "big")
	_, out, _ = sluice(t, "apply", "-f", file, "-o", "json")
	var one apiclient.Profile
	require.NoError(t, json.Unmarshal([]byte(out), &one))
	require.Equal(t, "big", one.Name)
}

func TestApplyPrintsWhatWasAppliedBeforeAFailure(t *testing.T) {
	file := profiles(t, "big", "bad", "small")
	code, out, _ := sluice(t, "apply", "-f", file, "-o", "json")
	require.Equal(t, exitNotFound, code)
	require.Equal(t, []string{"big"}, named(t, out))
	_, out, _ = sluice(t, "apply", "-f", file)
	require.Equal(t, "profile shop/big: written\n", out)

	code, out, _ = sluice(t, "apply", "-f", profiles(t, "bad", "big"), "-o", "json")
	require.Equal(t, exitNotFound, code)
	require.Equal(t, "[]\n", out)
	_, out, _ = sluice(t, "apply", "-f", profiles(t, "bad"), "-o", "json")
	require.Empty(t, out)
}

func TestVersionsInEveryFormat(t *testing.T) {
	s := serve(t)
	s.json("GET /v1/version", http.StatusOK, apiclient.Version{Version: "v9", Commit: "abc", Go: "go1"})
	_, out, _ := sluice(t, "version")
	require.Contains(t, out, "\nserver v9 abc\n")
	for _, format := range []string{"json", "yaml"} {
		_, out, _ = sluice(t, "version", "-o", format)
		var both versions
		require.NoError(t, yaml.UnmarshalStrict([]byte(out), &both), "JSON is YAML")
		require.Equal(t, "v9", both.Server.Version)
		require.NotEmpty(t, both.Sluice.Version)
		require.Equal(t, format == "json", json.Valid([]byte(out)))
	}
	code, out, _ := sluice(t, "version", "-o", "json", "--server", "")
	require.Equal(t, exitOK, code)
	require.NotContains(t, out, "server")
	code, out, _ = sluice(t, "version", "--server", "nonsense")
	require.Equal(t, exitInvalid, code)
	require.Contains(t, out, "sluice ", "our own at least")
}

func TestListsGoOnUntilTheLimit(t *testing.T) {
	const there = 1203
	s := serve(t)
	s.mux.HandleFunc("GET /v1/tenants/shop/jobs/orders/revisions", func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		below, _ := strconv.Atoi(r.URL.Query().Get("below"))
		if below == 0 {
			below = there + 1
		}
		list := apiclient.RevisionList{Items: []apiclient.Revision{}}
		for n := below - 1; n > 0 && len(list.Items) < limit; n-- {
			list.Items = append(list.Items, apiclient.Revision{Number: n})
			list.Next = fmt.Sprintf("/v1/tenants/shop/jobs/orders/revisions?below=%d&limit=%d", n, limit)
		}
		if len(list.Items) < limit {
			list.Next = ""
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	for _, c := range []struct {
		limit string
		want  int
		asked []string
		more  bool
	}{
		{"1100", 1100, []string{"limit=500&", "below=704", "limit=100&"}, true},
		{"5000", there, []string{"limit=500&", "below=704", "below=204"}, false},
		{"500", 500, []string{"limit=500&"}, true},
	} {
		s.asked = nil
		_, out, errors := sluice(t, "get", "revisions", "orders", "--limit", c.limit, "-o", "json")
		var list apiclient.RevisionList
		require.NoError(t, json.Unmarshal([]byte(out), &list))
		require.Len(t, list.Items, c.want)
		require.Equal(t, there-c.want+1, list.Items[c.want-1].Number)
		require.Equal(t, c.more, list.Next != "")
		require.Equal(t, c.more, strings.Contains(errors, "raise --limit"))
		require.Len(t, s.asked, len(c.asked))
		for i, asked := range c.asked {
			require.Contains(t, s.asked[i]+"&", asked)
		}
	}
}

func TestATokenOfTwoLinesIsBadUsage(t *testing.T) {
	s := serve(t)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("t0ken\ntw0\n"), 0o600))
	code, _, errors := sluice(t, "get", "jobs", "--token-file", file)
	require.Equal(t, exitInvalid, code)
	require.Contains(t, errors, file)
	require.NotContains(t, errors, "t0ken")
	t.Setenv("SLUICE_TOKEN", "t0ken\r\ntw0")
	code, _, errors = sluice(t, "get", "jobs")
	require.Equal(t, exitInvalid, code)
	require.Contains(t, errors, "SLUICE_TOKEN")
	require.Empty(t, s.asked)
}

func TestAnotherServerIsNotTheAPI(t *testing.T) {
	s := serve(t)
	jar := filepath.Join(t.TempDir(), "a.jar")
	require.NoError(t, os.WriteFile(jar, []byte("jar"), 0o600))
	for status, want := range map[int]int{200: exitUnreachable, 302: exitUnreachable, 404: exitUnreachable, 405: exitUnreachable, 500: exitUnreachable, 403: exitNotFound, 502: exitUnreachable} {
		s.mux = http.NewServeMux()
		s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>hello</html>"))
		})
		for _, args := range [][]string{{"version"}, {"get", "jobs"}, {"get", "job", "orders"}, {"artifact", "push", jar}} {
			s.asked = nil
			code, _, errors := sluice(t, args...)
			require.Equal(t, want, code, "%d %v", status, args)
			require.Contains(t, errors, "address the Sluice api's?")
			require.Len(t, s.asked, 1, "nothing is sent to a stranger")
		}
	}
	s.mux, s.asked = http.NewServeMux(), nil
	code, _, errors := sluice(t, "op", "stop", "orders", "--watch")
	require.Equal(t, exitUnreachable, code)
	require.Contains(t, errors, "404")
	require.Len(t, s.asked, 1, "asking again would not help")
}
