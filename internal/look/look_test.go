package look

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

const (
	flinkJob = "00000000000000000000000000000a0b"
	vertex   = "cbc357ccb763df2852fee8c4fc7d55f2"
	prefix   = "/v1/flink"
)

// What Flink's UI of 1.20.5 and 2.3.0 asks for when a person walks through it.
func TestTheUIGetsWhatItReads(t *testing.T) {
	one, at := "/jobs/"+flinkJob, "/jobs/"+flinkJob+"/vertices/"+vertex
	for _, path := range []string{
		"/", "/index.html", "/main.687adc590d915451.js", "/1076.57f05d1fdf235063.js", "/styles.25112ea718f4efbe.css", "/3rdpartylicenses.txt",
		"/assets/images/flink.svg", "/assets/favicon/manifest.json", "/assets/favicon/browserconfig.xml",
		"/assets/vs/base/browser/ui/codicons/codicon/codicon.ttf", "/assets/vs/basic-languages/sql/sql.js", "/assets/vs/loader.js",
		"/config", "/overview", "/jobs", "/jobs/overview", "/jobmanager/metrics?get=Status.JVM.CPU.Load%2CStatus.JVM.Memory.Heap.Used",
		"/taskmanagers", "/taskmanagers/10.244.0.17:40123-1d2e3f", "/taskmanagers/10.244.0.17:40123-1d2e3f/metrics?get=Status.Flink.Memory.Managed.Used",
		one, one + "/plan", one + "/exceptions?maxExceptions=10", one + "/metrics?get=uptime", one + "/resource-requirements",
		one + "/checkpoints", one + "/checkpoints/config", one + "/checkpoints/details/17", one + "/checkpoints/details/17/subtasks/" + vertex,
		one + "/rescales/overview", one + "/rescales/details/0f0e", "/applications/overview", "/applications/" + flinkJob, "/applications/" + flinkJob + "/exceptions",
		at, at + "/backpressure", at + "/subtasktimes", at + "/taskmanagers", at + "/accumulators", at + "/subtasks/accumulators", at + "/watermarks",
		at + "/metrics?get=0.Source__numbers.numRecordsOut", at + "/subtasks/metrics?agg=min%2Cmax&get=busyTimeMsPerSecond", at + "/subtasks/1/attempts/0",
	} {
		want, raw, _ := strings.Cut(path, "?")
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			read, err := Parse(httptest.NewRequestWithContext(t.Context(), method, prefix+path, http.NoBody), prefix)
			require.NoError(t, err, path)
			require.Equal(t, want, read.Path)
			require.Equal(t, raw, read.Query)
		}
	}
}

// Addresses as they stand in the request line: none may reach a JobManager.
var hostile = []string{
	// Reads with an effect, or of what a job was given in secret.
	"/jobs/" + flinkJob + "/yarn-cancel", "/jobs/" + flinkJob + "/yarn-stop", "/jobs/" + flinkJob + "/stop", "/jobs/" + flinkJob + "/savepoints",
	"/jobs/" + flinkJob + "/savepoints/" + vertex, "/jobs/" + flinkJob + "/checkpoints/" + vertex, "/jobs/" + flinkJob + "/rescaling", "/jobs/" + flinkJob + "/rescaling/" + vertex,
	"/jars", "/jars/", "/jars/upload", "/jars/a_counter.jar", "/jars/a_counter.jar/plan", "/jars/a_counter.jar/run", "/jars/x.js", "/jars/x.js/plan?programArg=x",
	"/jobs/" + flinkJob + "/config", "/jobs/" + flinkJob + "/jobmanager/config", "/jobs/" + flinkJob + "/jobmanager/environment", "/jobs/" + flinkJob + "/jobmanager/log-url",
	"/jobs/" + flinkJob + "/taskmanagers/tm/log-url", "/jobs/" + flinkJob + "/execution-result", "/jobs/" + flinkJob + "/clientHeartbeat",
	"/jobs/" + flinkJob + "/vertices/" + vertex + "/flamegraph?type=full", "/jobs/" + flinkJob + "/vertices/" + vertex + "/flamegraph",
	"/jobmanager/config", "/jobmanager/environment", "/jobmanager/log", "/jobmanager/logs", "/jobmanager/logs/x.js", "/jobmanager/logs/flink.html", "/jobmanager/stdout",
	"/jobmanager/thread-dump", "/jobmanager/profiler", "/jobmanager/profiler/a.html", "/applications/" + flinkJob + "/jobmanager/config", "/applications/" + flinkJob + "/cancel",
	"/taskmanagers/tm/log", "/taskmanagers/tm/logs", "/taskmanagers/tm/logs/x.js", "/taskmanagers/tm/stdout", "/taskmanagers/tm/thread-dump", "/taskmanagers/tm/profiler",
	"/taskmanagers/tm/profiler/a.html", "/cluster", "/datasets", "/datasets/delete/" + vertex, "/savepoint-disposal/" + vertex, "/v1/jars", "/v1/jobs/overview", "/v2/jobs",
	// Ways out of the list, in each writing.
	"", "//", "//jars", "/jobs//overview", "/jobs/overview/", "/jobs/overview//", "/./jars", "/jobs/../jars", "/assets/../jars", "/assets/../../jars/x.js", "/assets/..", "/..",
	"/../v1/state", "/../commands/a", "/%2e%2e/jars", "/assets/%2e%2e/jars/x.js", "/assets/..%2fjars/x.js", "/assets%2f..%2fjars", "/%6aars", "/jobs%2foverview", "/jobs/%6fverview",
	"/assets/%252e%252e/jars", `/assets/..\jars`, "/assets/%5c..%5cjars", "/assets/a.js%00.html", "/assets/a.js%0d%0aX-Evil:1", "/index.html;/jars", "/index.html%3f/jars", "/index.html%23/jars",
	"/JOBS/overview", "/Jars", "/jobs/" + strings.ToUpper(vertex), "/jobs/" + vertex + "0", "/jobs/" + vertex[1:], "/jobs/overview%20", "/jobs/overview%0a", "/jobs/overview\u00a0", "/j\u043ebs",
	"/.htaccess", "/.js", "/a.jsp", "/a.jar", "/assets/a.jar", "/assets/.js", "/assets/" + strings.Repeat("a/", 12) + "a.js", "/" + strings.Repeat("a", 9000) + ".js",
	"/index.html.conf", "/http://evil/index.html", "/@evil/index.html", "/evil@x/a.js",
	// Parameters that no read on the list has.
	"/jobs/overview?mode=cancel", "/jobs/" + flinkJob + "?mode=cancel", "/config?get=x&upload=1", "/jobs/" + flinkJob + "/accumulators?includeSerializedValue=true",
	"/jobs/metrics?get=a;mode=cancel", "/jobs/metrics?%zz", "/jobs/metrics?get=" + strings.Repeat("a", maxQuery),
}

func TestWhatIsNotListedIsRefused(t *testing.T) {
	for _, address := range hostile {
		parsed, err := url.ParseRequestURI(prefix + address)
		if err != nil {
			continue // net/http answers 400 by itself
		}
		_, err = Parse(&http.Request{Method: http.MethodGet, URL: parsed}, prefix)
		require.Contains(t, []failure.Code{failure.Forbidden, failure.NotFound, failure.Invalid, failure.TooLarge}, failure.CodeOf(err), address)
		require.NotEmpty(t, failure.Of(err).Next+failure.Of(err).Message, address)
	}
}

func TestNothingButReads(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "GET ", "PROPFIND", strings.Repeat("X", 1000)} {
		_, err := Parse(&http.Request{Method: method, URL: &url.URL{Path: prefix + "/jobs/overview"}}, prefix)
		require.Equal(t, failure.NoMethod, failure.CodeOf(err), method)
		require.Less(t, len(failure.Of(err).Message), 200)
	}
	header := http.Header{}
	Allow(header, failure.New(failure.NoMethod, "no"))
	require.Equal(t, Methods, header.Get("Allow"))
}

// A proxy's request line names a host of its own.
func TestAnAddressWithAHostIsRefused(t *testing.T) {
	for _, address := range []string{"http://evil" + prefix + "/jobs/overview", "https://127.0.0.1:8081" + prefix + "/config"} {
		parsed, err := url.ParseRequestURI(address)
		require.NoError(t, err)
		_, err = Parse(&http.Request{Method: http.MethodGet, URL: parsed}, prefix)
		require.Equal(t, failure.NotFound, failure.CodeOf(err), address)
	}
	_, err := Parse(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/%66link/config", http.NoBody), prefix)
	require.Equal(t, failure.NotFound, failure.CodeOf(err), "the prefix in another writing")
}
