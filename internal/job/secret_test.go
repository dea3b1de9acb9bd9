package job

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretsValidate(t *testing.T) {
	mounted := Secret{Name: "kafka", MountPath: "/secrets/kafka"}
	variable := Secret{Name: "database.orders", Env: "DB_PASSWORD", Key: "password"}
	for name, c := range map[string]struct {
		secrets []Secret
		want    []string
	}{
		"both ways":              {[]Secret{mounted, variable}, []string{}},
		"below":                  {[]Secret{{Name: "kafka", MountPath: "/secrets/kafka/eu-1"}}, []string{}},
		"many":                   {make([]Secret, MaxSecrets+1), []string{"/spec/secrets"}},
		"no place":               {[]Secret{{Name: "kafka"}}, []string{"/spec/secrets/0"}},
		"two places":             {[]Secret{{Name: "kafka", MountPath: "/secrets/kafka", Env: "KAFKA", Key: "k"}}, []string{"/spec/secrets/0"}},
		"twice":                  {[]Secret{mounted, {Name: "other", MountPath: "/secrets/kafka"}}, []string{"/spec/secrets/1"}},
		"odd name":               {[]Secret{{Name: "../kafka", MountPath: "/secrets/kafka"}}, []string{"/spec/secrets/0/name"}},
		"a generation's keys":    {[]Secret{{Name: "payments-g12-keys", MountPath: "/secrets/kafka"}}, []string{"/spec/secrets/0/name"}},
		"over the configuration": {[]Secret{{Name: "kafka", MountPath: "/etc/flink"}}, []string{"/spec/secrets/0/mountPath"}},
		"way out":                {[]Secret{{Name: "kafka", MountPath: "/secrets/../etc/flink"}}, []string{"/spec/secrets/0/mountPath"}},
		"the root":               {[]Secret{{Name: "kafka", MountPath: "/secrets"}}, []string{"/spec/secrets/0/mountPath"}},
		"mounted key":            {[]Secret{{Name: "kafka", MountPath: "/secrets/kafka", Key: "password"}}, []string{"/spec/secrets/0/key"}},
		"odd variable":           {[]Secret{{Name: "kafka", Env: "kafka-password", Key: "k"}}, []string{"/spec/secrets/0/env"}},
		"the JVM's variable":     {[]Secret{{Name: "kafka", Env: "JAVA_TOOL_OPTIONS", Key: "k"}}, []string{"/spec/secrets/0/env"}},
		"no key":                 {[]Secret{{Name: "kafka", Env: "KAFKA"}}, []string{"/spec/secrets/0/key"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := goodSpec()
			s.Secrets = c.secrets
			require.Equal(t, c.want, names(s.Validate("/spec", nil)))
		})
	}
}

func TestSecretsOfASpec(t *testing.T) {
	without, with := goodSpec(), goodSpec()
	with.Secrets = []Secret{{Name: "kafka", MountPath: "/secrets/kafka"}, {Name: "db", Env: "DB", Key: "password"}, {Name: "db", Env: "USER_NAME", Key: "user"}}
	require.Equal(t, []string{"db", "kafka"}, with.SecretNames())
	require.NotEqual(t, without.Digest(), with.Digest())
	require.Equal(t, []Change{{Field: "secrets", To: "/secrets/kafka from kafka, DB from db.password, USER_NAME from db.user"}}, Changes(without, with))
}
