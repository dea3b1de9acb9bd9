package flink

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

// Answers as Flink 1.20.5 gave them, shortened. askTimedOut came of client.timeout:
// 1 ms, and the job was there all the same; runUnwraps and jobAsksKafka are put
// together of others.
const (
	planMainThrew = `{"errors":["Internal server error.","<Exception on server side:\norg.apache.flink.client.program.ProgramInvocationException: The main method caused an error: this job fails in main\n\tat org.apache.flink.client.program.PackagedProgram.callMainMethod(PackagedProgram.java:373)\nCaused by: java.lang.IllegalStateException: this job fails in main\n\tat io.sluice.jobs.Counter.main(Counter.java:49)\n\t... 12 more\n\nEnd of exception on server side>"]}`
	runMainThrew  = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\n\tat org.apache.flink.runtime.webmonitor.handlers.JarRunHandler.lambda$handleRequest$1(JarRunHandler.java:114)\nCaused by: java.util.concurrent.CompletionException: org.apache.flink.util.FlinkRuntimeException: Could not execute application.\n\t... 1 more\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Checkpoint interval must be larger than or equal to 10 ms\n\t... 4 more\nCaused by: java.lang.IllegalArgumentException: Checkpoint interval must be larger than or equal to 10 ms\n\tat x"]}`
	noClass       = `{"errors":["Internal server error.","<Exception on server side:\njava.util.concurrent.CompletionException: org.apache.flink.client.program.ProgramInvocationException: The program's entry point class 'io.sluice.jobs.Nope' was not found in the jar file.\n\tat x\nCaused by: java.lang.ClassNotFoundException: io.sluice.jobs.Nope\n\tat y"]}`
	noJar         = `{"errors":["Internal server error.","<Exception on server side:\njava.util.concurrent.CompletionException: org.apache.flink.runtime.rest.handler.RestHandlerException: Jar file /tmp/flink-web-upload/nope.jar does not exist\n\tat x"]}`
	duplicate     = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Failed to execute job 'counter v1'.\nCaused by: org.apache.flink.runtime.client.DuplicateJobSubmissionException: Job has already been submitted."]}`
	badSavepoint  = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Failed to execute job\nCaused by: org.apache.flink.runtime.client.JobInitializationException: Could not start the JobMaster.\nCaused by: java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'hdfs://nn/x' on file system 'hdfs'."]}`
	noJob         = `{"errors":["org.apache.flink.runtime.rest.NotFoundException: Job 02 not found\n\tat x\nCaused by: org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (02)"]}`
	timedOut      = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: java.util.concurrent.TimeoutException: Invocation of [RemoteRpcInvocation(DispatcherGateway.submitJob(JobGraph, Time))] at recipient [pekko] timed out."]}`
	planAsksKafka = `{"errors":["Internal server error.","<Exception on server side:\norg.apache.flink.client.program.ProgramInvocationException: The main method caused an error: can't ask Kafka for its topics\n\tat org.apache.flink.client.program.PackagedProgram.callMainMethod(PackagedProgram.java:373)\nCaused by: java.lang.IllegalStateException: can't ask Kafka for its topics\n\tat x.Main.main(Main.java:8)\n\t... 12 more\nCaused by: java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: listTopics\n\t... 18 more\nCaused by: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: listTopics\n\tat x.Main.lambda$main$0(Main.java:8)\n\t... 1 more\n\nEnd of exception on server side>"]}`
	runAsksKafka  = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\n\tat org.apache.flink.runtime.webmonitor.handlers.JarRunHandler.lambda$handleRequest$1(JarRunHandler.java:114)\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: can't ask Kafka for its topics\n\tat org.apache.flink.client.program.PackagedProgram.callMainMethod(PackagedProgram.java:373)\n\t... 4 more\nCaused by: java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: listTopics\n\t... 13 more\nCaused by: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: listTopics\n\tat x.Main.lambda$main$0(Main.java:8)\n\t... 2 more\n"]}`
	runWaits      = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: null\n\tat org.apache.flink.client.program.PackagedProgram.callMainMethod(PackagedProgram.java:373)\n\t... 4 more\nCaused by: java.util.concurrent.TimeoutException\n\tat java.base/java.util.concurrent.CompletableFuture.timedGet(CompletableFuture.java:1960)\n\tat java.base/java.util.concurrent.CompletableFuture.get(CompletableFuture.java:2095)\n\tat x.Main.main(Main.java:9)\n\t... 7 more\n"]}`
	askTimedOut   = `Caused by: java.util.concurrent.TimeoutException: Invocation of [LocalRpcInvocation(DispatcherGateway.submitJob(JobGraph, Time))] at recipient [pekko.tcp://flink@127.0.0.1:18932/user/rpc/dispatcher_0] timed out. This is usually caused by: 1) Pekko failed sending the message silently\n\tat org.apache.flink.client.deployment.application.executors.EmbeddedExecutor.lambda$submitJob$6(EmbeddedExecutor.java:184)\n\t... 16 more\nCaused by: org.apache.pekko.pattern.AskTimeoutException: Ask timed out on [Actor[pekko://flink/user/rpc/dispatcher_0#626252968]] after [1 ms].`
	runSubmits    = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Failed to execute job 'numbers'.\n\t... 4 more\nCaused by: org.apache.flink.util.FlinkException: Failed to execute job 'numbers'.\n\tat org.apache.flink.streaming.api.environment.StreamExecutionEnvironment.executeAsync(StreamExecutionEnvironment.java:2487)\n\tat x.Main.main(Main.java:14)\n\t... 7 more\n` + askTimedOut + `"]}`
	runUnwraps    = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: could not start\n\t... 4 more\nCaused by: java.lang.RuntimeException: could not start\n\tat x.Main.main(Main.java:16)\n\t... 7 more\n` + askTimedOut + `"]}`
	jobAsksKafka  = `{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Failed to execute job 'orders'.\nCaused by: org.apache.flink.util.FlinkException: Failed to execute job 'orders'.\nCaused by: org.apache.flink.runtime.client.JobInitializationException: Could not start the JobMaster.\nCaused by: org.apache.flink.kafka.shaded.org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment."]}`
	electing      = `{"errors":["Service temporarily unavailable due to an ongoing leader election. Please refresh."]}`
)

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		status         int
		body           string
		read, effect   failure.Code
		text           string
		duplicate, jar bool
	}{
		"main threw in plan": {500, planMainThrew, failure.Incompatible, failure.Incompatible, "java.lang.IllegalStateException: this job fails in main", false, false},
		"main threw in run":  {400, runMainThrew, failure.Incompatible, failure.Incompatible, "Checkpoint interval must be larger than", false, false},
		"no such class":      {500, noClass, failure.Incompatible, failure.Incompatible, "ClassNotFoundException: io.sluice.jobs.Nope", false, false},
		"no such jar":        {500, noJar, failure.Unavailable, failure.Unavailable, "nope.jar does not exist", false, true},
		"duplicate":          {400, duplicate, failure.Conflict, failure.Conflict, "", true, false},
		"bad savepoint":      {400, badSavepoint, failure.JobFailed, failure.JobFailed, "hdfs://nn/x", false, false},
		"no such job":        {404, noJob, failure.NotFound, failure.NotFound, "Could not find Flink job (02)", false, false},
		"its own time-out":   {400, timedOut, failure.Unavailable, failure.Unknown, "", false, false},
		// Main's own time-outs are its failure; those of the submission within it are
		// Flink's. /plan submits nothing, so there a read is never the second kind.
		"main asked Kafka in plan":  {500, planAsksKafka, failure.Incompatible, failure.Incompatible, "Timed out waiting for a node assignment", false, false},
		"main asked Kafka in run":   {400, runAsksKafka, failure.Incompatible, failure.Incompatible, "Timed out waiting for a node assignment", false, false},
		"main waited in run":        {400, runWaits, failure.Incompatible, failure.Incompatible, "java.util.concurrent.TimeoutException", false, false},
		"the submission timed out":  {400, runSubmits, failure.Incompatible, failure.Unknown, "", false, false},
		"the same, wrapped by main": {400, runUnwraps, failure.Incompatible, failure.Unknown, "", false, false},
		"the job asked Kafka":       {400, jobAsksKafka, failure.JobFailed, failure.JobFailed, "node assignment", false, false},
		"election":                  {503, electing, failure.Unavailable, failure.Unknown, "", false, false},
		"a proxy's page":            {502, "<html>bad gateway</html>", failure.Unavailable, failure.Unknown, "", false, false},
		"bad request":               {400, `{"errors":["Request did not match expected format."]}`, failure.Refused, failure.Refused, "did not match", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/x", nil)
			for kind, code := range map[kind]failure.Code{read: c.read, effect: c.effect} {
				err := judge(kind, answerOf(c.status, []byte(c.body)), request)
				require.Equal(t, code, failure.CodeOf(err), "%v", err)
				require.ErrorContains(t, err, c.text)
				require.Equal(t, c.duplicate, IsDuplicate(err))
				require.Equal(t, c.jar, IsJarMissing(err))
			}
		})
	}
}

func TestRootCause(t *testing.T) {
	require.Equal(t, "b.C: deep", RootCause("a.B: top\n\tat x\nCaused by: a.D: middle\n\tat y\nCaused by: b.C: deep\n\tat z"))
	require.Equal(t, "a.B: top", RootCause("a.B: top\n\tat x"))
	require.Empty(t, RootCause(""))
	require.Less(t, len(RootCause(strings.Repeat("x", 1<<20))), 1100)
}

// What a lost connection means depends on the call, and on whether it was sent.
func TestLost(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	client := New(server.URL, NewTransport(nil))
	ctx := context.Background()
	_, err := client.Job(ctx, "a")
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
	require.Equal(t, failure.Unknown, failure.CodeOf(client.Run(ctx, "j", Program{}, "a", "")))
	require.Equal(t, failure.Unknown, failure.CodeOf(client.Stop(ctx, "a", SavepointRequest{})))

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	away := New("http://"+listener.Addr().String(), NewTransport(nil))
	require.Equal(t, failure.Unavailable, failure.CodeOf(away.Run(ctx, "j", Program{}, "a", "")), "it was never sent")
}

func TestSamePath(t *testing.T) {
	require.True(t, SamePath("hdfs://nn:9000/a/b", "hdfs://nn:9000/a/b/"))
	require.True(t, SamePath("file:///a", "file:/a"))
	require.False(t, SamePath("hdfs://nn:9000/a/b", "hdfs://nn:9000/a/c"))
	require.False(t, SamePath("", "hdfs://nn:9000/a/c"))
}

func TestSavepointMadeBeforeTheJobFailed(t *testing.T) {
	var status operationStatus
	status.Status.ID = "COMPLETED"
	status.Operation.Failure = &thrown{Trace: "java.util.concurrent.CompletionException: org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException: A savepoint has been created at: hdfs://nn/s/savepoint-1, but the corresponding job 01 failed during stopping. The savepoint is consistent, but might have uncommitted transactions."}
	require.Equal(t, "hdfs://nn/s/savepoint-1", status.read().Location)
	require.NotEmpty(t, status.read().Cause)
}
