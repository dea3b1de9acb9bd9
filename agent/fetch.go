package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/hdfs"
	"sluice/internal/job"
)

// Fetch brings artifacts of the assignment's tenant from HDFS into a directory:
// the init container of a Flink pod. A file gets its name only when its digest is
// proven, so that what is there is whole. HDFS may be away for as long as it
// likes, the pod waits with it; any other failure is for good.
func Fetch(ctx context.Context, a agentapi.Assignment, directory string, digests []string, log *slog.Logger) error {
	files, err := hdfs.New(hdfs.Config{Addresses: a.HDFS.NameNodes, User: a.HDFS.User, Connections: 2})
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	for _, digest := range digests {
		digits, err := job.ParseDigest(digest)
		if err != nil {
			return failure.New(failure.Invalid, "the dependency %q %v", digest, err)
		}
		file := filepath.Join(directory, filepath.Base(agentapi.DependencyFile(digits)))
		if _, err := os.Stat(file); err == nil {
			continue // of an earlier run in this pod
		} else if !errors.Is(err, fs.ErrNotExist) {
			return failure.Wrap(failure.Internal, err, "look for %s", file)
		}
		if err := bring(ctx, files, a.Tenant, digits, file, log); err != nil {
			return err
		}
	}
	return nil
}

// FetchAssigned is Fetch by the pod's own assignment, as a process: its exit code,
// and why it failed as the last line of out, which Kubernetes shows.
func FetchAssigned(log *slog.Logger, out io.Writer, digests []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	a, err := readAssignment()
	if err == nil {
		err = Fetch(ctx, a, agentapi.DependenciesPath, digests, log)
	}
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(out, strings.ReplaceAll(err.Error(), "\n", " "))
	if code := failure.CodeOf(err); code == failure.Unavailable || code == failure.Internal {
		return 1
	}
	return agentapi.ExitUseless
}

// bring fetches one artifact, and again while HDFS is away.
func bring(ctx context.Context, files *hdfs.Client, tenant, digits, file string, log *slog.Logger) error {
	began := time.Now()
	for p := newPace(200*time.Millisecond, 10*time.Second); ; {
		content, size, err := fetchOnce(ctx, files, filepath.Dir(file), tenant, digits)
		switch {
		case err == nil:
			log.InfoContext(ctx, "fetched", "artifact", "sha256:"+digits, "bytes", size, "took", time.Since(began))
			return keep(content, file)
		case failure.CodeOf(err) != failure.Unavailable:
			f := failure.Of(err)
			return failure.Wrap(f.Code, err, "the dependency sha256:%s of tenant %s can't be had", digits, tenant).WithNext("%s", f.Next)
		}
		log.WarnContext(ctx, "HDFS is away; trying again", "artifact", "sha256:"+digits, "error", err)
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

// keep gives a proven file its name. Flink's user is the one who wrote it.
func keep(content *os.File, file string) error {
	err := errors.Join(content.Chmod(0o444), content.Close())
	if err == nil {
		err = os.Rename(content.Name(), file)
	}
	if err != nil {
		return failure.Wrap(failure.Internal, err, "keep %s", file)
	}
	return nil
}
