package job_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"cannot connect to jdbc:mysql://app:hunter2@db:3306/x":       "cannot connect to jdbc:mysql://app:…@db:3306/x",
		`PlainLoginModule required username="a" password="hunter2";`: `PlainLoginModule required username="a" password=…;`,
		"Invalid option db.password=hunter2, retry":                  "Invalid option db.password=…, retry",
		"secret: hunter2": "secret: …",
		"a\n-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----": "a\n…",
		"java.lang.IllegalStateException: this job fails in main":            "java.lang.IllegalStateException: this job fails in main",
	} {
		require.Equal(t, want, job.Redact(in))
	}
}
