package scenario

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	_ "github.com/go-sql-driver/mysql" // the record store
	"github.com/stretchr/testify/require"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"sluice/internal/job"
	"sluice/testsuite/checker"
	"sluice/testsuite/hostile"
)

// Hostile is the real api as the hostile requests see it; key is one that was used.
func (w *World) Hostile(operation, key, artifact string) hostile.Server {
	w.T.Helper()
	read := func(name string) string {
		content, err := os.ReadFile(env(w.T, name))
		require.NoError(w.T, err)
		return strings.TrimSpace(string(content))
	}
	return hostile.Server{
		URL:    w.server,
		Tokens: map[hostile.Caller]string{hostile.Operator: read("SLUICE_OPERATOR_TOKEN_FILE"), hostile.Viewer: read("SLUICE_VIEWER_TOKEN_FILE"), hostile.Admin: w.token},
		Fill:   strings.NewReplacer("{tenant}", w.Tenant, "{job}", w.Name, "{operation}", operation, "{artifact}", artifact, "{key}", key),
	}
}

// Document is the OpenAPI document as the real api serves it.
func (w *World) Document() *openapi3.T {
	w.T.Helper()
	response, err := http.Get(w.server + "/v1/openapi.yaml") //nolint:noctx // a story has no context
	require.NoError(w.T, err)
	defer func() { _ = response.Body.Close() }()
	document, err := openapi3.NewLoader().LoadFromIoReader(response.Body)
	require.NoError(w.T, err)
	return document
}

// Footprint is all that requests to the api can leave: the contents of its tables,
// the tenant's files on HDFS, the tenant's objects in Kubernetes by their uid, and
// the job's runs. What the running job writes itself is not in it.
func (w *World) Footprint() map[string]string {
	w.T.Helper()
	found := map[string]string{"newest run": w.searchAttributes()["SluiceOperation"]}
	w.tables(found)
	// Uploads are the platform's own: Flink's user may not look there.
	platform, err := checker.DialHDFS([]string{env(w.T, "SLUICE_HDFS")}, "sluice", 20*time.Second)
	require.NoError(w.T, err)
	defer func() { _ = platform.Close() }()
	for _, directory := range []string{job.ArtifactPath(w.Tenant, ""), job.ArtifactPath(w.Tenant, ".incoming"), job.JobsRoot} {
		entries, err := platform.ReadDir(directory)
		require.NoError(w.T, err)
		for _, entry := range entries {
			found["hdfs "+directory+"/"+entry.Name()] = fmt.Sprint(entry.Size())
		}
	}
	w.objects(found)
	return found
}

// tables are those that the api writes. MariaDB's own CHECKSUM TABLE won't do: with a
// generated column it is another one every time.
func (w *World) tables(found map[string]string) {
	w.T.Helper()
	records, err := sql.Open("mysql", env(w.T, "SLUICE_DATABASE_DSN"))
	require.NoError(w.T, err)
	defer func() { _ = records.Close() }()
	for _, table := range []string{"jobs", "revisions", "profiles", "operations"} {
		rows, err := records.QueryContext(context.Background(), "SELECT * FROM "+table+" ORDER BY 1, 2")
		require.NoError(w.T, err)
		found["table "+table] = content(w.T, rows)
	}
}

// content is how many rows there are, and a digest of all their values.
func content(t *testing.T, rows *sql.Rows) string {
	t.Helper()
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	values, into := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	digest, count := sha256.New(), 0
	for ; rows.Next(); count++ {
		require.NoError(t, rows.Scan(into...))
		_, _ = fmt.Fprintf(digest, "%q\n", values)
	}
	require.NoError(t, rows.Err())
	return fmt.Sprintf("%d rows, digest %x", count, digest.Sum(nil)[:8])
}

// ofAnotherStory: what a story left is collected while the next ones are told.
func (w *World) ofAnotherStory(object string) bool {
	return strings.HasPrefix(object, "s-") && !strings.HasPrefix(object, w.Name)
}

// objects are those that an operation makes. Pods, their ReplicaSets and the like
// come of these.
func (w *World) objects(found map[string]string) {
	w.T.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", env(w.T, "KUBECONFIG"))
	require.NoError(w.T, err)
	client, err := dynamic.NewForConfig(config)
	require.NoError(w.T, err)
	for _, kind := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "secrets"}, {Version: "v1", Resource: "services"}, {Version: "v1", Resource: "serviceaccounts"},
		{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "coordination.k8s.io", Version: "v1", Resource: "leases"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}, {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	} {
		list, err := client.Resource(kind).Namespace(w.Tenant).List(context.Background(), meta.ListOptions{})
		require.NoError(w.T, err)
		for _, object := range list.Items {
			if w.ofAnotherStory(object.GetName()) {
				continue
			}
			found[kind.Resource+" "+object.GetName()] = fmt.Sprintf("%s generation %d", object.GetUID(), object.GetGeneration())
		}
	}
}
