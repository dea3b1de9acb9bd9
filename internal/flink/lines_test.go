package flink

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

// Answers as Flink 2.3.0 gave them, shortened, where they aren't 1.20's.
const (
	duplicateOf2 = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Failed to execute job 'counter v1'.\nCaused by: org.apache.flink.util.FlinkException: Failed to execute job 'counter v1'.\nCaused by: org.apache.flink.runtime.client.DuplicateApplicationSubmissionException: Application has already been submitted."]}`
	noHistory    = `{"exceptionHistory":{"entries":[],"truncated":false}}`
	resultFailed = `{"status":{"id":"COMPLETED"},"job-execution-result":{"id":"8c","name":"counter v1","application-status":"FAILED","accumulator-results":{},"net-runtime":210,"failure-cause":{"class":"java.util.concurrent.CompletionException","stack-trace":"java.util.concurrent.CompletionException: java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'hdfs://nn/x' on file system 'hdfs'.\n\tat x\nCaused by: java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'hdfs://nn/x' on file system 'hdfs'.\n\tat y"}}}`
	resultOpen   = `{"status":{"id":"IN_PROGRESS"}}`
	history      = `{"exceptionHistory":{"entries":[{"exceptionName":"java.lang.IllegalStateException","stacktrace":"java.lang.IllegalStateException: this operator fails\n\tat x"}],"truncated":false}}`
	rootOf1      = `{"root-exception":"a.B: why\n\tat x","timestamp":1,"all-exceptions":[],"truncated":false,"exceptionHistory":{"entries":[],"truncated":false}}`
	noneOf1      = `{"root-exception":null,"timestamp":null,"all-exceptions":[],"truncated":false,"exceptionHistory":{"entries":[],"truncated":false}}`
)

func TestDuplicateOfFlink2(t *testing.T) {
	err := judge(effect, answerOf(http.StatusBadRequest, []byte(duplicateOf2)), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/x", nil))
	require.True(t, IsDuplicate(err))
	require.Equal(t, failure.Conflict, failure.CodeOf(err))
}

func TestExceptionOfEachLine(t *testing.T) {
	for name, c := range map[string]struct{ exceptions, result, want string }{
		"1.20, FAILED":                     {rootOf1, "", "a.B: why"},
		"1.20, runs well":                  {noneOf1, resultOpen, ""},
		"2.3, restarts":                    {history, "", "java.lang.IllegalStateException: this operator fails"},
		"2.3, FAILED before it ran":        {noHistory, resultFailed, "java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'hdfs://nn/x' on file system 'hdfs'."},
		"2.3, runs well":                   {noHistory, resultOpen, ""},
		"2.3, FINISHED has no failure too": {noHistory, `{"status":{"id":"COMPLETED"},"job-execution-result":{"application-status":"SUCCEEDED"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			answer := func(path, body string) {
				mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
			}
			answer("/jobs/8c/exceptions", c.exceptions)
			if c.result != "" { // else it isn't asked
				answer("/jobs/8c/execution-result", c.result)
			}
			server := httptest.NewServer(mux)
			defer server.Close()
			cause, err := New(server.URL, NewTransport(nil)).Exception(t.Context(), "8c")
			require.NoError(t, err)
			require.Equal(t, c.want, cause)
		})
	}
}
