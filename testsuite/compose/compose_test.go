// Package compose_test loads docker-compose.yml with Compose's own library and
// checks what a reader relies on. No Docker is needed, and none is used: what
// the containers do is not tested here.
package compose_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func load(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithProfiles([]string{"images"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatalf("docker-compose.yml is not valid: %v", err)
	}
	return project
}

func TestEverythingIsThere(t *testing.T) {
	project := load(t)
	for _, name := range []string{"mysql", "temporal", "temporal-ui", "namenode", "datanode", "kafka", "hive-metastore", "hiveserver2", "kubernetes", "api", "worker", "agent", "flink", "flink-2"} {
		if _, err := project.GetService(name); err != nil {
			t.Error(err)
		}
	}
}

// A tag that names a version, with its digits: not latest, not 8.
var pinned = regexp.MustCompile(`:(v?\d+\.\d+\.\d+|compose)\S*$`)

func TestImagesArePinned(t *testing.T) {
	for name, s := range load(t).Services {
		if !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q has no full version", name, s.Image)
		}
	}
}

func TestPortsAreLocal(t *testing.T) {
	taken := map[string]string{}
	for name, s := range load(t).Services {
		if s.NetworkMode == "host" {
			t.Errorf("%s: uses the host's network", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is published on %q, not 127.0.0.1", name, p.Published, p.HostIP)
			}
			if other := taken[p.Published]; other != "" {
				t.Errorf("%s and %s publish port %s", name, other, p.Published)
			}
			taken[p.Published] = name
		}
	}
}

// Servers have a health check, and whoever needs one waits for it; what runs once is waited for to the end.
func TestHealth(t *testing.T) {
	project := load(t)
	for name, s := range project.Services {
		once, imageOnly := s.Labels["sluice.io/once"] == "true", s.Labels["sluice.io/image-only"] == "true"
		if !once && !imageOnly && (s.HealthCheck == nil || len(s.HealthCheck.Test) == 0 || s.HealthCheck.Interval == nil || s.HealthCheck.Retries == nil) {
			t.Errorf("%s: no complete health check", name)
		}
		for dep, d := range s.DependsOn {
			needs, err := project.GetService(dep)
			if err != nil {
				t.Error(err)
				continue
			}
			switch {
			case needs.Labels["sluice.io/once"] == "true":
				if d.Condition != types.ServiceConditionCompletedSuccessfully {
					t.Errorf("%s doesn't wait for the end of %s", name, dep)
				}
			case name == "datanode" && dep == "namenode": // its health needs a DataNode to leave safe mode
			case d.Condition != types.ServiceConditionHealthy:
				t.Errorf("%s doesn't wait until %s is healthy", name, dep)
			}
		}
	}
}

func TestAddressesAreDistinct(t *testing.T) {
	taken := map[string]string{}
	for name, s := range load(t).Services {
		for _, n := range s.Networks {
			if n == nil || n.Ipv4Address == "" {
				continue
			}
			if other := taken[n.Ipv4Address]; other != "" {
				t.Errorf("%s and %s have the address %s", name, other, n.Ipv4Address)
			}
			taken[n.Ipv4Address] = name
		}
	}
}

// Files that services mount or build from must be in the repository.
func TestFilesExist(t *testing.T) {
	for name, s := range load(t).Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
