package job

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOwnedOption(t *testing.T) {
	for _, option := range []string{
		"high-availability", "high-availability.type", "high-availability.storageDir", "jobmanager.rpc.address", "rest.port", "rest.bind-address",
		"state.checkpoints.dir", "state.savepoints.dir", "execution.checkpointing.dir", "execution.checkpointing.savepoint-dir",
		"execution.checkpointing.externalized-checkpoint-retention", "execution.checkpointing.num-retained", "state.checkpoints.num-retained",
		"security.ssl.rest.enabled", "security.kerberos.login.keytab", "taskmanager.memory.process.size", "jobmanager.memory.process.size",
		"taskmanager.numberOfTaskSlots", "parallelism.default", "pipeline.jars", "jobmanager.scheduler", "jobmanager.adaptive-scheduler.min-parallelism-increase",
		"$internal.pipeline.job-id", "env.java.opts.all", "kubernetes.cluster-id", "blob.server.port", "web.submit.enable", "jobstore.expiration-time",
		"restart-strategy", "restart-strategy.type", "restart-strategy.exponential-delay.attempts-before-reset-backoff", "execution.savepoint.path",
		"execution.state-recovery.path", "execution.savepoint-restore-mode", "REST.PORT", "execution.shutdown-on-application-finish",
	} {
		require.NotEmpty(t, OwnedOption(option), option)
	}
	for _, option := range []string{
		"state.backend.type", "state.backend.incremental", "execution.checkpointing.interval", "execution.checkpointing.timeout", "execution.checkpointing.mode",
		"execution.checkpointing.unaligned.enabled", "table.exec.state.ttl", "pipeline.object-reuse", "pipeline.max-parallelism", "pipeline.auto-watermark-interval",
		"taskmanager.network.memory.buffer-debloat.enabled", "restapi.thing", "metrics.reporters",
	} {
		require.Empty(t, OwnedOption(option), option)
	}
}

func TestEveryOwnedOptionSaysWhy(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range owned {
		require.NotEmpty(t, o.reason, o.option)
		require.False(t, seen[o.option], o.option)
		seen[o.option] = true
	}
}

func TestSecrets(t *testing.T) {
	for _, name := range []string{
		"password", "db.password", "--db-password", "dbPassword", "DB_PASSWORD", "s3.secret-key", "s3.access-key", "fs.s3a.secret.key", "sasl.jaas.config",
		"properties.sasl.jaas.config", "api-key", "apiKey", "authToken", "kafka.ssl.key.password", "client-credentials", "fs.azure.account.key.x", "accessKeyId",
	} {
		require.True(t, LooksSecretName(name), name)
	}
	for _, name := range []string{"topic", "passenger-topic", "secretary", "tokenizer", "key-by", "state.backend.type", "keyed-state"} {
		require.False(t, LooksSecretName(name), name)
	}
	for _, value := range []string{
		`org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";`, "jdbc:mysql://h/db?user=u&password=p",
		"https://user:pw@host/x", "token: abc", "-----BEGIN PRIVATE KEY-----",
	} {
		require.True(t, LooksSecretValue(value), value)
	}
	for _, value := range []string{"hdfs://nn:8020/data", "the secret garden", "http://host:80/path", "user@example.com", "a=b"} {
		require.False(t, LooksSecretValue(value), value)
	}
}
