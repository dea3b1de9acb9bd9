//go:build contract

package flink_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/flink/flinktest"
)

// TestMain starts the Flink that SLUICE_FLINK doesn't name.
func TestMain(m *testing.M) { flinktest.Main(m, "../..") }

// Against a real Flink session cluster with a free slot, and the test job; its
// output goes below SLUICE_HDFS.
func TestAgainstFlink(t *testing.T) {
	ctx := t.Context()
	value := func(name string) string {
		require.NotEmpty(t, os.Getenv(name), "set %s", name)
		return os.Getenv(name)
	}
	client := flink.New(value("SLUICE_FLINK"), flink.NewTransport(flinktest.Doors()))
	overview, err := client.Overview(ctx)
	require.NoError(t, err)
	require.Positive(t, overview.SlotsFree)
	require.NotEmpty(t, overview.Version)

	content, err := os.ReadFile(value("SLUICE_JOB_JAR"))
	require.NoError(t, err)
	jar, err := client.Upload(ctx, "contract.jar", bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	jars, err := client.Jars(ctx)
	require.NoError(t, err)
	require.Contains(t, jars, flink.Jar{ID: jar, Name: "contract.jar"})

	id := newID(t)
	data := "hdfs://" + value("SLUICE_HDFS") + "/data/contract-" + id
	program := flink.Program{
		EntryClass: "io.sluice.jobs.Counter", Parallelism: 1,
		Arguments: []string{"--output", data + "/output", "--trace", data + "/trace"},
		Options:   map[string]string{"pipeline.name": "ignored or not"},
	}
	nodes, err := client.Plan(ctx, jar, program)
	require.NoError(t, err)
	require.NotEmpty(t, nodes)
	broken := program
	broken.Arguments = []string{"--fail-in-main"}
	_, err = client.Plan(ctx, jar, broken)
	require.Equal(t, failure.Incompatible, failure.CodeOf(err))
	_, err = client.Plan(ctx, "absent.jar", program)
	require.True(t, flink.IsJarMissing(err), "%v", err)
	require.True(t, flink.IsJarMissing(client.Run(ctx, "absent.jar", program, id, "")))

	_, err = client.Job(ctx, id)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	require.NoError(t, client.Run(ctx, jar, program, id, ""))
	require.True(t, flink.IsDuplicate(client.Run(ctx, jar, program, id, "")))
	await(t, client, id, func(j flink.Job) bool { return j.State == flink.Running })
	_, err = client.Targets(ctx, id)
	require.NoError(t, err, "either scheduler has an answer")
	config, err := client.CheckpointConfig(ctx, id)
	require.NoError(t, err)
	require.True(t, config.Retained)
	_, err = client.SavepointStatus(ctx, id, newID(t))
	require.Equal(t, failure.NotFound, failure.CodeOf(err), "an unknown trigger")

	require.NoError(t, client.Cancel(ctx, id))
	canceled := await(t, client, id, flink.Job.Terminal)
	require.Equal(t, flink.Canceled, canceled.State)
	require.True(t, flink.IsDuplicate(client.Run(ctx, jar, program, id, "")), "also after its end")

	// Flink takes a stop for a job that is over; the operation says so.
	trigger := newID(t)
	require.NoError(t, client.Stop(ctx, id, flink.SavepointRequest{TriggerID: trigger, Directory: data, Format: "NATIVE"}))
	require.Eventually(t, func() bool {
		operation, err := client.SavepointStatus(ctx, id, trigger)
		return err == nil && operation.Completed && operation.JobGone
	}, 20*time.Second, 20*time.Millisecond)
}

func newID(t *testing.T) string {
	t.Helper()
	id := make([]byte, 16)
	_, err := rand.Read(id)
	require.NoError(t, err)
	return hex.EncodeToString(id)
}

func await(t *testing.T, client *flink.Client, id string, done func(flink.Job) bool) flink.Job {
	t.Helper()
	var found flink.Job
	require.Eventually(t, func() bool {
		var err error
		found, err = client.Job(context.Background(), id)
		return err == nil && done(found)
	}, 30*time.Second, 20*time.Millisecond)
	return found
}
