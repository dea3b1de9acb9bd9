//nolint:bodyclose // read closes the body of every answer
package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// Kinds of a manifest.
const (
	kindJob     = "Job"
	kindProfile = "Profile"
)

// manifest is one document of a file: a Job or a Profile.
type manifest struct {
	Kind   string `json:"kind"`
	Tenant string `json:"tenant,omitempty"` // "": --tenant
	Name   string `json:"name"`

	// Job
	Site string   `json:"site,omitempty"`
	Spec job.Spec `json:"spec,omitzero"`

	// Profile
	JobManager  apiclient.Role        `json:"jobManager,omitzero"`
	TaskManager apiclient.TaskManager `json:"taskManager,omitzero"`
	Parallelism int                   `json:"parallelism,omitempty"`

	directory string // of its file: local artifacts are relative to it
}

const applyLong = `Declares jobs and profiles from YAML files; "-" is the standard input.

  kind: Job
  name: orders
  site: dc1
  spec:
    engine: {name: flink, version: 1.20.5}
    artifact: ./orders.jar        # pushed and replaced by its digest; or sha256:…
    entryClass: com.example.Orders
    dependencies: [./kafka.jar]   # further jars on the job's class path, likewise
    arguments: [--topic, orders]
    options: {state.backend.type: hashmap}
  ---
  kind: Profile
  name: promotion
  jobManager: {cpu: 500m, memoryMiB: 1024}
  taskManager: {cpu: "1", memoryMiB: 1728, replicas: 2, slots: 2}
  parallelism: 4

A job that differs from its newest revision gets a new one. What runs is not
touched: sluice op upgrade does that. With -o json several manifests give a list.

At a terminal the differences to what exists are shown and asked about first
(--yes doesn't ask; nor is anybody asked where there is no terminal).`

func (a *app) applyCommand() *cobra.Command {
	var files []string
	var yes bool
	command := &cobra.Command{
		Use: "apply -f FILE…", Short: "Declare jobs and profiles from files", Long: applyLong, Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			manifests, err := readManifests(files)
			if err != nil {
				return err
			}
			if a.asks && !yes && !slices.Contains(files, "-") {
				if err := a.confirm(c.Context(), manifests); err != nil {
					return err
				}
			}
			return a.apply(c.Context(), manifests)
		},
	}
	filesFlag(command, &files)
	command.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask before what exists is changed")
	return command
}

func filesFlag(command *cobra.Command, files *[]string) {
	command.Flags().StringSliceVarP(files, "file", "f", nil, "file with manifests; may be given several times")
}

func readManifests(files []string) ([]manifest, error) {
	if len(files) == 0 {
		return nil, usage("no file: give -f FILE")
	}
	var manifests []manifest
	for _, name := range files {
		content, err := readFile(name)
		if err != nil {
			return nil, err
		}
		reader := yamlreader.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, usage("%s is not YAML: %v", name, err)
			}
			m, err := parseManifest(document)
			if err != nil {
				return nil, usage("%s: %v", name, err)
			}
			if m.Kind != "" {
				m.directory = filepath.Dir(name)
				manifests = append(manifests, m)
			}
		}
	}
	if len(manifests) == 0 {
		return nil, usage("the files hold no manifests")
	}
	return manifests, nil
}

func readFile(name string) ([]byte, error) {
	if name == "-" {
		content, err := io.ReadAll(io.LimitReader(os.Stdin, 16<<20))
		if err != nil {
			return nil, usage("the standard input can't be read: %v", err)
		}
		return content, nil
	}
	content, err := os.ReadFile(name) //nolint:gosec // the user names the file
	if err != nil {
		return nil, usage("%v", err)
	}
	return content, nil
}

// parseManifest refuses unknown keys, also those that only the other kind has.
func parseManifest(document []byte) (manifest, error) {
	var m manifest
	var nothing any
	if err := yaml.Unmarshal(document, &nothing); err == nil && nothing == nil {
		return m, nil // only comments
	}
	if err := yaml.UnmarshalStrict(document, &m); err != nil {
		return m, err
	}
	foreign := m.JobManager != (apiclient.Role{}) || m.TaskManager != (apiclient.TaskManager{}) || m.Parallelism != 0
	switch m.Kind {
	case kindJob:
		if foreign {
			return m, errors.New("a Job has no jobManager, taskManager or parallelism: these are a Profile's")
		}
	case kindProfile:
		if m.Site != "" || m.Spec.Artifact != "" || m.Spec.EntryClass != "" || m.Spec.Engine != (job.Engine{}) {
			return m, errors.New("a Profile has no site and no spec: these are a Job's")
		}
	default:
		return m, fmt.Errorf("kind %q is neither Job nor Profile", m.Kind)
	}
	return m, nil
}

func (a *app) apply(ctx context.Context, manifests []manifest) error {
	given := a.tenant
	applied := []any{} // as JSON a list, never null
	var failed error
	for _, m := range manifests {
		a.tenant = first(m.Tenant, given)
		answer, line, err := a.applyOne(ctx, m)
		if err != nil {
			failed = err
			break
		}
		applied = append(applied, answer)
		if a.output == table { // at once: the next may be a long upload
			_, _ = fmt.Fprintln(a.out, clean(line))
		}
	}
	// Also after a failure: these were applied.
	if err := a.printDocuments(applied, len(manifests) > 1); err != nil {
		return err
	}
	return failed
}

// applyOne sends a manifest; line tells a person the outcome.
func (a *app) applyOne(ctx context.Context, m manifest) (answer any, line string, err error) {
	client, err := a.client()
	if err != nil {
		return nil, "", err
	}
	if m.Kind == kindProfile {
		return a.applyProfile(ctx, client, m)
	}
	return a.applyJob(ctx, client, m)
}

func (a *app) applyJob(ctx context.Context, client *apiclient.Client, m manifest) (any, string, error) {
	spec, err := a.specOf(ctx, client, m, true)
	if err != nil {
		return nil, "", err
	}
	answer, status, err := readStatus[apiclient.Job](client.PutJob(ctx, a.tenant, m.Name, apiclient.JobBody{Site: m.Site, Spec: toAPI(spec)}))
	return answer, fmt.Sprintf("job %s/%s: revision %d %s", answer.Tenant, answer.Name, answer.Revision.Number, outcome(status)), err
}

// specOf is a manifest's spec with the digests of local artifacts in their
// place. They are pushed only where that is asked for.
func (a *app) specOf(ctx context.Context, client *apiclient.Client, m manifest, push bool) (job.Spec, error) {
	spec := m.Spec
	// Checked before the uploads, which may be long.
	wrong := append(job.CheckSite(m.Site), withoutFiles(spec).Validate("/spec", nil)...)
	if reason := job.CheckName(m.Name); reason != "" {
		wrong = append(wrong, failure.Field{Name: "/name", Reason: reason})
	}
	if len(wrong) > 0 {
		return spec, failure.New(failure.Invalid, "job %s is not valid", m.Name).WithFields(wrong...)
	}
	var err error
	if spec.Artifact, err = a.digestOf(ctx, client, m, spec.Artifact, push); err != nil {
		return spec, err
	}
	spec.Dependencies = slices.Clone(spec.Dependencies)
	for i, dependency := range spec.Dependencies {
		if spec.Dependencies[i], err = a.digestOf(ctx, client, m, dependency, push); err != nil {
			return spec, err
		}
	}
	return spec, nil
}

func local(artifact string) bool { return artifact != "" && !strings.HasPrefix(artifact, "sha256:") }

// withoutFiles has well-formed digests, no two the same, in the files' place.
func withoutFiles(spec job.Spec) job.Spec {
	if local(spec.Artifact) {
		spec.Artifact = "sha256:" + strings.Repeat("0", 64)
	}
	spec.Dependencies = slices.Clone(spec.Dependencies)
	for i, dependency := range spec.Dependencies {
		if local(dependency) {
			spec.Dependencies[i] = fmt.Sprintf("sha256:%064x", i+1)
		}
	}
	return spec
}

// digestOf is an artifact's digest; of a file, which is relative to its manifest's.
func (a *app) digestOf(ctx context.Context, client *apiclient.Client, m manifest, artifact string, push bool) (string, error) {
	if !local(artifact) {
		return artifact, nil
	}
	if !filepath.IsAbs(artifact) {
		artifact = filepath.Join(m.directory, artifact)
	}
	if push {
		pushed, _, err := a.push(ctx, client, artifact)
		return pushed.Digest, err
	}
	file, digest, _, err := a.hashed(artifact)
	if err == nil {
		_ = file.Close()
	}
	return digest, err
}

func toAPI(spec job.Spec) apiclient.Spec {
	var secrets []apiclient.SecretRef
	for _, s := range spec.Secrets {
		secrets = append(secrets, apiclient.SecretRef{Name: s.Name, MountPath: s.MountPath, Env: s.Env, Key: s.Key})
	}
	var kafka apiclient.Kafka
	if spec.Kafka != nil {
		kafka = apiclient.Kafka{Brokers: spec.Kafka.Brokers, TransactionTimeoutMs: spec.Kafka.TransactionTimeoutMS}
	}
	return apiclient.Spec{
		Kafka:    kafka,
		Engine:   apiclient.Engine{Name: spec.Engine.Name, Version: spec.Engine.Version},
		Artifact: spec.Artifact, EntryClass: spec.EntryClass, Dependencies: spec.Dependencies,
		Arguments: spec.Arguments, Options: spec.Options,
		Secrets: secrets,
	}
}

func (a *app) applyProfile(ctx context.Context, client *apiclient.Client, m manifest) (any, string, error) {
	answer, status, err := readStatus[apiclient.Profile](client.PutProfile(ctx, a.tenant, m.Name, apiclient.ProfileBody{
		JobManager: m.JobManager, TaskManager: m.TaskManager, Parallelism: m.Parallelism,
	}))
	word := "written"
	if status == http.StatusCreated {
		word = "created"
	}
	return answer, fmt.Sprintf("profile %s/%s: %s", a.tenant, answer.Name, word), err
}

func outcome(status int) string {
	if status == http.StatusCreated {
		return "created"
	}
	return "unchanged"
}
