package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path"
	"strings"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// checks collects everything that is wrong, so that one look mends it all.
type checks struct{ found []failure.Field }

func (c *checks) add(field, format string, args ...any) {
	c.found = append(c.found, failure.Field{Name: field, Reason: fmt.Sprintf(format, args...), Next: "set " + field + " in the file or " + variable(field) + " in the environment"})
}

func (c *checks) err() error {
	if len(c.found) == 0 {
		return nil
	}
	lines := make([]string, len(c.found))
	for i, f := range c.found {
		lines[i] = f.Name + " " + f.Reason
	}
	return failure.New(failure.Invalid, "the configuration is not valid: %s", strings.Join(lines, "; ")).WithFields(c.found...)
}

func (c *checks) address(field, value string, optional bool) {
	if value == "" {
		if !optional {
			c.add(field, "is empty")
		}
		return
	}
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		c.add(field, "is not host:port")
	}
}

func (c *checks) url(field, value string) {
	if value == "" {
		return
	}
	parsed, err := url.Parse(value)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		c.add(field, "is not an http(s) address")
	}
}

func (c *checks) name(field, value string) {
	if reason := job.CheckName(value); reason != "" {
		c.add(field, "%s", reason)
	}
}

func (c *checks) servers(database Database, temporal Temporal, hdfs HDFS) {
	if (database.DSN == "") == (database.DSNFile == "") {
		c.add("database.dsnFile", "or database.dsn must be set, not both")
	}
	if database.MaxConnections < 1 {
		c.add("database.maxConnections", "must be at least 1")
	}
	c.address("temporal.address", temporal.Address, false)
	if temporal.Namespace == "" {
		c.add("temporal.namespace", "is empty")
	}
	if len(hdfs.NameNodes) == 0 {
		c.add("hdfs.nameNodes", "is empty")
	}
	for i, address := range hdfs.NameNodes {
		c.address(fmt.Sprintf("hdfs.nameNodes[%d]", i), address, false)
	}
	if hdfs.User == "" {
		c.add("hdfs.user", "is empty")
	}
	if hdfs.DefaultFS != "" && !strings.HasPrefix(hdfs.DefaultFS, "hdfs://") {
		c.add("hdfs.defaultFS", "does not begin with hdfs://")
	}
}

// keys are there as a whole, or not at all.
func (c *checks) keys(field string, keys Keys) {
	if keys == (Keys{}) {
		return
	}
	for _, part := range []struct{ name, value string }{
		{"certificateFile", keys.CertificateFile}, {"keyFile", keys.KeyFile}, {"trustFile", keys.TrustFile},
	} {
		if part.value == "" {
			c.add(field+"."+part.name, "is empty, and others of %s are set", field)
		}
	}
}

func (c *checks) tenants(tenants []Tenant) {
	if len(tenants) == 0 {
		c.add("tenants", "is empty")
	}
	seen := map[string]bool{}
	for i, tenant := range tenants {
		field := fmt.Sprintf("tenants[%d]", i)
		c.name(field+".name", tenant.Name)
		if seen[tenant.Name] {
			c.add(field+".name", "%q is there twice", tenant.Name)
		}
		seen[tenant.Name] = true
		if tenant.Namespace == "" {
			c.add(field+".namespace", "is empty")
		}
		for j, root := range tenant.SnapshotRoots {
			c.root(fmt.Sprintf("%s.snapshotRoots[%d]", field, j), root)
		}
	}
}

// root keeps tenants out of the platform's own directory: all jobs' state is in it.
func (c *checks) root(field, root string) {
	switch {
	case !path.IsAbs(root) || path.Clean(root) != root || root == "/":
		c.add(field, "is not a clean directory below /")
	case root == job.Root || strings.HasPrefix(root, job.Root+"/"):
		c.add(field, "is the platform's own directory")
	}
}

func (c *checks) engines(engines []Engine, images bool) {
	if len(engines) == 0 {
		c.add("engines", "is empty")
	}
	seen := map[string]bool{}
	for i, engine := range engines {
		field := fmt.Sprintf("engines[%d]", i)
		if engine.Name == "" || engine.Version == "" {
			c.add(field, "needs name and version")
		}
		if images && engine.Image == "" {
			c.add(field+".image", "is empty")
		}
		key := engine.Name + " " + engine.Version
		if seen[key] {
			c.add(field, "%q is there twice", key)
		}
		seen[key] = true
	}
}

func (c *checks) level(name string) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		c.add("logLevel", "is none of debug, info, warn, error")
	}
}

func (c API) check() error {
	var found checks
	found.address("listen", c.Listen, false)
	found.address("metricsListen", c.MetricsListen, true)
	found.url("uiURL", c.UIURL)
	if c.TokensFile == "" {
		found.add("tokensFile", "is empty")
	}
	for i, site := range c.Sites {
		found.name(fmt.Sprintf("sites[%d]", i), site)
	}
	found.level(c.LogLevel)
	found.servers(c.Database, c.Temporal, c.HDFS)
	found.keys("agents", c.Agents)
	found.tenants(c.Tenants)
	found.engines(c.Engines, false)
	return found.err()
}

func (c Worker) check() error {
	var found checks
	found.name("site", c.Site)
	found.address("listen", c.Listen, true)
	found.address("metricsListen", c.MetricsListen, true)
	if c.AgentImage == "" {
		found.add("agentImage", "is empty")
	}
	if c.Authority.CertificateFile == "" {
		found.add("authority.certificateFile", "is empty")
	}
	if c.Authority.KeyFile == "" {
		found.add("authority.keyFile", "is empty")
	}
	if c.PlacementGrace < 0 {
		found.add("placementGrace", "is negative")
	}
	if c.KubernetesQPS <= 0 {
		found.add("kubernetesQPS", "must be positive")
	}
	found.level(c.LogLevel)
	found.servers(c.Database, c.Temporal, c.HDFS)
	found.tenants(c.Tenants)
	found.engines(c.Engines, true)
	return found.err()
}
