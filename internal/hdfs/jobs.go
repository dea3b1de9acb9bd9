package hdfs

import (
	"context"
	"os"
	"path"

	colinmarc "github.com/colinmarc/hdfs/v2"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// MakeJobDirectories makes what a job needs before its first start: its own
// directory and those into which Flink, running as a user of its own, writes.
// They are group-writable; HDFS applies its umask at the client only and files
// inherit their directory's group. A repeat is harmless.
func (c *Client) MakeJobDirectories(ctx context.Context, uid string) error {
	root, err := jobDirectory(uid)
	if err != nil {
		return err
	}
	return c.read(ctx, root, func(h *colinmarc.Client) error { // each step may be repeated
		if err := h.MkdirAll(job.JobsRoot, 0o755); err != nil {
			return err
		}
		for _, name := range []string{root, job.SavepointsDirectory(uid), job.CheckpointDirectory(uid), job.PrimersDirectory(uid)} {
			if err := c.share(h, name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *Client) share(h *colinmarc.Client, name string) error {
	if err := h.MkdirAll(name, 0o775); err != nil {
		return err
	}
	info, err := h.Stat(name)
	if err != nil {
		return err
	}
	if owned, ok := info.(*colinmarc.FileInfo); ok && c.config.Group != "" && owned.OwnerGroup() != c.config.Group {
		if err := h.Chown(name, "", c.config.Group); err != nil {
			return err
		}
	}
	const group = os.FileMode(0o070) // a default ACL above may have taken bits of others away: as it should
	if mode := info.Mode().Perm(); mode&group != group {
		return h.Chmod(name, mode|group)
	}
	return nil
}

func jobDirectory(uid string) (string, error) {
	root := job.Directory(uid)
	if uid == "" || path.Dir(root) != job.JobsRoot {
		return "", failure.New(failure.Invalid, "%q is not the uid of a job", uid)
	}
	return root, nil
}

// FindAnyMetadata walks a job's directory and gives one _metadata below it, ""
// when there is none: an answer, never a guess. What disappears while it walks
// is not there. The primer's own snapshots don't count: it has run before a job's
// first start. Whatever else lies there does, also in a directory that somebody
// made by hand: a start that overlooks state would begin empty.
func (c *Client) FindAnyMetadata(ctx context.Context, uid string) (string, error) {
	root, err := jobDirectory(uid)
	if err != nil {
		return "", err
	}
	return c.findBelow(ctx, root, job.PrimersDirectory(uid))
}

func (c *Client) findBelow(ctx context.Context, directory, except string) (string, error) {
	entries, err := c.list(ctx, directory)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		if !entry.IsDir() && entry.Name() == metadataName {
			return path.Join(directory, metadataName), nil
		}
	}
	for _, entry := range entries {
		below := path.Join(directory, entry.Name())
		if !entry.IsDir() || below == except {
			continue
		}
		found, err := c.findBelow(ctx, below, except)
		if found != "" || err != nil {
			return found, err
		}
	}
	return "", nil
}
