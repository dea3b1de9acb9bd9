package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/testsuite/checker"
)

func TestRun(t *testing.T) {
	good, bad := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(good+"/part-0", []byte("0,0,1,v1\n1,1,1,v1\n2,0,2,v2\n"), 0o600))
	require.NoError(t, os.WriteFile(bad+"/part-0", []byte("0,0,1,v1\n2,0,2,v2\n"), 0o600))
	for name, c := range map[string]struct {
		args  []string
		ok    bool
		error string
		text  string
	}{
		"good":             {args: []string{"--output", good, "--keys", "2", "--records", "3"}, ok: true, text: "OK        every number exactly once"},
		"bad":              {args: []string{"--output", bad, "--keys", "2"}, text: "PROBLEM   1 numbers missing, in 1 gaps: 1\n"},
		"too few":          {args: []string{"--output", good, "--keys", "2", "--min-records", "4"}, text: "PROBLEM   3 records, at least 4 expected"},
		"no output":        {args: nil, error: "usage"},
		"other words":      {args: []string{"--output", good, "and"}, error: "usage"},
		"unknown scheme":   {args: []string{"--output", "s3://a/b"}, error: "only hdfs://"},
		"two file systems": {args: []string{"--output", "hdfs://a:1/b", "--trace", "/c"}, error: "one file system"},
		"unknown flag":     {args: []string{"--outptu", good}, error: "not defined"},
		"nobody there":     {args: []string{"--output", "hdfs://127.0.0.1:1/b"}, error: "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			ok, err := run(context.Background(), c.args, &out)
			require.Equal(t, c.ok, ok)
			if c.error != "" {
				require.ErrorContains(t, err, c.error)
				return
			}
			require.NoError(t, err)
			require.Contains(t, out.String(), c.text)

			out.Reset()
			ok, err = run(context.Background(), append(c.args, "--json"), &out)
			require.NoError(t, err)
			require.Equal(t, c.ok, ok)
			var report checker.Report
			require.NoError(t, json.Unmarshal(out.Bytes(), &report))
			require.Equal(t, c.ok, report.OK())
		})
	}
}
