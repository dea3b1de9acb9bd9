package scenario

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	_ "github.com/go-sql-driver/mysql" // the record store's
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// RandomValue is a secret's that nothing else holds.
func (w *World) RandomValue() string {
	w.T.Helper()
	return "hidden" + rand.Text()
}

// Digest is the SHA-256 of a value, in hex.
func Digest(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

// MakeSecret makes a Secret in the tenant's namespace, for as long as the story goes.
func (w *World) MakeSecret(name, key, value string) {
	w.T.Helper()
	secrets := w.Kube.CoreV1().Secrets(w.Tenant)
	_, err := secrets.Create(context.Background(), &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: name}, StringData: map[string]string{key: value},
	}, meta.CreateOptions{})
	require.NoError(w.T, err)
	w.T.Cleanup(func() { _ = secrets.Delete(context.Background(), name, meta.DeleteOptions{}) })
	w.Say("made the Secret %s/%s", w.Tenant, name)
}

// MustNotLeak searches all that platform, Temporal and Kubernetes keep for a
// value, as it is and in base64.
func (w *World) MustNotLeak(value string) {
	w.T.Helper()
	forms := []string{value}
	for cut := range 3 { // in base64 it looks different by where it begins
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", cut) + value))
		forms = append(forms, encoded[4:len(encoded)-4])
	}
	var places, bytes int
	search := func(where string, content []byte) {
		places, bytes = places+1, bytes+len(content)
		for _, form := range forms {
			require.NotContains(w.T, string(content), form, where) //nolint:testifylint // the place matters
		}
	}
	w.searchTemporal(search)
	w.searchKubernetes(search)
	w.searchStore(search)
	w.Say("the secret is in none of %d places (%.1f MB): histories, events, logs, ConfigMaps, pods, Deployments, tables", places, float64(bytes)/1e6)
}

func (w *World) searchTemporal(search func(string, []byte)) {
	w.T.Helper()
	for _, r := range w.runs {
		for _, event := range w.History(r.id) {
			// As bytes: payloads are JSON in it, not yet base64.
			search(fmt.Sprintf("event %d of the %s", event.GetEventId(), r.kind), []byte(event.String()))
		}
	}
}

func (w *World) searchKubernetes(search func(string, []byte)) {
	w.T.Helper()
	ctx := context.Background()
	for _, namespace := range []string{w.Tenant, "sluice-system"} {
		pods, err := w.Kube.CoreV1().Pods(namespace).List(ctx, meta.ListOptions{})
		require.NoError(w.T, err)
		for i := range pods.Items {
			w.searchLog(search, &pods.Items[i])
		}
		events, err := w.Kube.CoreV1().Events(namespace).List(ctx, meta.ListOptions{})
		require.NoError(w.T, err)
		configMaps, err := w.Kube.CoreV1().ConfigMaps(namespace).List(ctx, meta.ListOptions{})
		require.NoError(w.T, err)
		deployments, err := w.Kube.AppsV1().Deployments(namespace).List(ctx, meta.ListOptions{})
		require.NoError(w.T, err)
		leases, err := w.Kube.CoordinationV1().Leases(namespace).List(ctx, meta.ListOptions{})
		require.NoError(w.T, err)
		for what, list := range map[string]any{"pods": pods, "events": events, "ConfigMaps": configMaps, "Deployments": deployments, "Leases": leases} {
			content, err := yaml.Marshal(list)
			require.NoError(w.T, err)
			search(what+" of "+namespace, content)
		}
	}
}

// searchLog looks at a running pod's log; one that is going has none to give.
func (w *World) searchLog(search func(string, []byte), pod *core.Pod) {
	w.T.Helper()
	if pod.Status.Phase != core.PodRunning || pod.DeletionTimestamp != nil {
		return
	}
	stream, err := w.Kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &core.PodLogOptions{}).Stream(context.Background())
	if err != nil {
		return
	}
	defer func() { _ = stream.Close() }()
	content, err := io.ReadAll(stream)
	require.NoError(w.T, err)
	search("the log of "+pod.Name, content)
}

// searchStore reads every table of the record store.
func (w *World) searchStore(search func(string, []byte)) {
	w.T.Helper()
	database, err := sql.Open("mysql", env(w.T, "SLUICE_DATABASE_DSN"))
	require.NoError(w.T, err)
	defer func() { _ = database.Close() }()
	for _, table := range w.rows(database, "SHOW TABLES") {
		search("table "+table, []byte(strings.Join(w.rows(database, "SELECT * FROM `"+table+"`"), "\n")))
	}
}

// rows are a query's, each joined.
func (w *World) rows(database *sql.DB, query string) []string {
	w.T.Helper()
	rows, err := database.QueryContext(context.Background(), query)
	require.NoError(w.T, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	require.NoError(w.T, err)
	var all []string
	for rows.Next() {
		values, into := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(w.T, rows.Scan(into...))
		parts := make([]string, len(values))
		for i, value := range values {
			parts[i] = string(value)
		}
		all = append(all, strings.Join(parts, " "))
	}
	require.NoError(w.T, rows.Err())
	return all
}
