package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/testsuite/audit"
)

// MaxRequests is what a warm upgrade may ask of the API server, besides watches.
const MaxRequests = 60

// Prometheus is the stack's.
type Prometheus struct {
	t   *testing.T
	url string
}

// Prometheus is what scrapes the platform and holds its rules.
func (w *World) Prometheus() Prometheus {
	w.T.Helper()
	return Prometheus{w.T, env(w.T, "SLUICE_PROMETHEUS")}
}

func (p Prometheus) get(path string, query url.Values, into any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+query.Encode(), nil)
	require.NoError(p.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(p.t, http.StatusOK, response.StatusCode, path)
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(into))
}

// Sample is one series' value now.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query asks for an expression now.
func (p Prometheus) Query(expression string) []Sample {
	p.t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	p.get("/api/v1/query", url.Values{"query": {expression}}, &answer)
	samples := make([]Sample, 0, len(answer.Data.Result))
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		require.NoError(p.t, err, expression)
		samples = append(samples, Sample{r.Metric, value})
	}
	return samples
}

// Sum is the sum of an expression's series, 0 where there are none.
func (p Prometheus) Sum(expression string) (sum float64) {
	p.t.Helper()
	for _, s := range p.Query(expression) {
		sum += s.Value
	}
	return sum
}

// Values are the values of a label over an expression's series.
func (p Prometheus) Values(label, expression string) []string {
	p.t.Helper()
	var all []string
	for _, s := range p.Query(expression) {
		all = append(all, s.Labels[label])
	}
	return all
}

// Firing are the alerts that ring for a tenant or for the platform, but for
// SluiceEffectsFailing: armed faults of stories beside this one may ring that.
func (p Prometheus) Firing(tenant string) []string {
	p.t.Helper()
	return p.Values("alertname", fmt.Sprintf(`ALERTS{alertstate="firing",alertname!="SluiceEffectsFailing",tenant=~"|%[1]s",sluice_tenant=~"|%[1]s"}`, tenant))
}

// Failing counts the effects of a job's agents that didn't work, as SluiceEffectsFailing does.
func (p Prometheus) Failing(job string) float64 {
	p.t.Helper()
	return p.Sum(fmt.Sprintf(`sluice_effect_duration_seconds_count{sluice_job=%q,outcome=~"unavailable|unknown|internal|forbidden|unauthorized"}`, job))
}

// Rule as Prometheus has it loaded.
type Rule struct {
	Name      string `json:"name"`
	Health    string `json:"health"`
	LastError string `json:"lastError"`
}

// Rules are all that are loaded.
func (p Prometheus) Rules() []Rule {
	p.t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []Rule `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	p.get("/api/v1/rules", nil, &answer)
	var all []Rule
	for _, g := range answer.Data.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// Names are the metrics that were seen in the last minutes.
func (p Prometheus) Names() []string {
	p.t.Helper()
	var answer struct {
		Data []string `json:"data"`
	}
	p.get("/api/v1/label/__name__/values", url.Values{"start": {strconv.FormatInt(time.Now().Add(-5*time.Minute).Unix(), 10)}}, &answer)
	return answer.Data
}

var metricName = regexp.MustCompile(`\b(sluice_[a-z_]+)\b`)

// notMetrics are label names with our prefix.
var notMetrics = []string{"sluice_tenant", "sluice_job"}

// Named are the metrics of ours that the given files name.
func (w *World) Named(files ...string) []string {
	w.T.Helper()
	var all []string
	for _, file := range files {
		data, err := os.ReadFile(env(w.T, "SLUICE_TOP") + "/" + file)
		require.NoError(w.T, err)
		for _, name := range metricName.FindAllString(string(data), -1) {
			if !slices.Contains(notMetrics, name) && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// Alerts are the names of the alerts in deploy/monitoring.
func (w *World) Alerts() []string {
	w.T.Helper()
	data, err := os.ReadFile(env(w.T, "SLUICE_TOP") + "/deploy/monitoring/rules.yaml")
	require.NoError(w.T, err)
	var all []string
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "- alert: "); ok {
			all = append(all, name)
		}
	}
	return all
}

// LoseElection deletes the Lease of the observers' election and waits until it
// is made anew.
func (w *World) LoseElection() {
	w.T.Helper()
	leases := w.Kube.CoordinationV1().Leases(audit.System)
	const name = "sluice-observer-dc1"
	before, err := leases.Get(context.Background(), name, meta.GetOptions{})
	require.NoError(w.T, err)
	require.NoError(w.T, leases.Delete(context.Background(), name, meta.DeleteOptions{}))
	w.Until("the election's Lease is there again", time.Minute, func() bool {
		after, err := leases.Get(context.Background(), name, meta.GetOptions{})
		return err == nil && after.UID != before.UID
	})
}

// Requests counts what a part of a story asks of the API server for its job.
func (w *World) Requests(part func()) []audit.Event {
	w.T.Helper()
	log, err := audit.Open(env(w.T, "SLUICE_AUDIT_LOG"))
	require.NoError(w.T, err)
	defer func() { _ = log.Close() }()
	require.NoError(w.T, log.ToEnd())
	part()
	events, err := log.Next()
	require.NoError(w.T, err)
	return audit.OfJob(events, w.Tenant, w.Name)
}
