package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/hdfs"
	"sluice/internal/job"
)

// jarCache knows under which id the JobManager has an artifact. One upload at a
// time: two commands often want the same.
type jarCache struct {
	mutex sync.Mutex
	ids   map[string]string // by hex digest
}

// jarFacts says what it cost to have a jar on the JobManager.
type jarFacts struct {
	bytes         int64
	fetch, upload time.Duration
}

// ensureJar makes sure that the JobManager has the artifact and returns its id
// there. What an earlier process of this agent uploaded is found by its name,
// the digest.
func (a *Agent) ensureJar(ctx context.Context, r *running, tenant, digest string) (string, jarFacts, error) {
	digits, err := job.ParseDigest(digest)
	if err != nil {
		return "", jarFacts{}, failure.New(failure.Invalid, "the artifact %q %v", digest, err)
	}
	a.jars.mutex.Lock()
	defer a.jars.mutex.Unlock()
	if id := a.jars.ids[digits]; id != "" {
		return id, jarFacts{}, nil
	}
	if id, err := a.findJar(ctx, digits); err == nil && id != "" {
		a.keepJar(digits, id)
		return id, jarFacts{}, nil
	}
	started := time.Now()
	r.progress("fetching the artifact from HDFS")
	file, size, err := a.fetch(ctx, tenant, digits)
	if err != nil {
		return "", jarFacts{}, err
	}
	defer func() { _ = file.Close(); _ = os.Remove(file.Name()) }()
	facts := jarFacts{bytes: size, fetch: time.Since(started)}

	started = time.Now()
	id, err := a.upload(ctx, r, digits, file, size)
	facts.upload = time.Since(started)
	return id, facts, err
}

// forgetJar is called when the JobManager says that it doesn't have it.
func (a *Agent) forgetJar(digest string) {
	digits, _ := job.ParseDigest(digest)
	a.jars.mutex.Lock()
	defer a.jars.mutex.Unlock()
	delete(a.jars.ids, digits)
}

func (a *Agent) keepJar(digits, id string) {
	if a.jars.ids == nil {
		a.jars.ids = map[string]string{}
	}
	a.jars.ids[digits] = id
}

func (a *Agent) findJar(ctx context.Context, digits string) (string, error) {
	jars, err := a.flink.Jars(ctx)
	for _, jar := range jars {
		if jar.Name == digits+".jar" {
			return jar.ID, nil
		}
	}
	return "", err
}

// fetch reads an artifact into a temporary file and proves its digest. The
// caller closes and removes the file; a bad one is removed here.
func (a *Agent) fetch(ctx context.Context, tenant, digits string) (*os.File, int64, error) {
	var file *os.File
	var size int64
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		file, size, err = fetchOnce(ctx, a.hdfs, a.config.Scratch, tenant, digits)
		return err
	})
	return file, size, err
}

func fetchOnce(ctx context.Context, files *hdfs.Client, directory, tenant, digits string) (_ *os.File, _ int64, err error) {
	content, _, err := files.Open(ctx, tenant, "sha256:"+digits)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = content.Close() }()
	file, err := os.CreateTemp(directory, "artifact-*.jar")
	if err != nil {
		return nil, 0, failure.Wrap(failure.Internal, err, "make a temporary file")
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}()
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, sum), content)
	if err != nil {
		var known *failure.Error
		if !errors.As(err, &known) {
			err = failure.Wrap(failure.Internal, err, "write the artifact to a temporary file")
		}
		return nil, 0, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digits {
		return nil, 0, failure.New(failure.Digest, "the artifact on HDFS has the digest sha256:%s, not sha256:%s", got, digits).
			WithNext("the file on HDFS was damaged or changed: upload the artifact again")
	}
	return file, size, nil
}

// upload gives a jar to the JobManager, and waits for one that is still starting.
func (a *Agent) upload(ctx context.Context, r *running, digits string, file *os.File, size int64) (string, error) {
	if err := a.awaitJobManager(ctx, r); err != nil {
		return "", err
	}
	r.progress("uploading the jar to the JobManager")
	var id string
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		id, err = do(ctx, effect.UploadJar, digits, func(ctx context.Context) (string, error) {
			return a.flink.Upload(ctx, digits+".jar", io.NewSectionReader(file, 0, size), size)
		})
		return err
	})
	if err == nil {
		a.keepJar(digits, id)
	}
	return id, err
}

// program is how a revision's main is run.
func (a *Agent) program(spec job.Spec, parallelism int) flink.Program {
	return flink.Program{
		EntryClass: spec.EntryClass, Arguments: spec.ArgumentsOf(a.config.Assignment.JobUID),
		Parallelism: parallelism, Options: spec.Options,
	}
}
