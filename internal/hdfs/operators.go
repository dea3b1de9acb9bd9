package hdfs

import (
	"context"
	"errors"
	"io"

	colinmarc "github.com/colinmarc/hdfs/v2"

	"sluice/internal/failure"
	"sluice/internal/snapshot"
)

// maxMetadata bounds what is read of a _metadata. Small state lies in it: some
// 20 KiB for each subtask and state at most.
const maxMetadata = 512 << 20

// ReadSnapshot reads the operators of a complete snapshot at location (hdfs://…
// or a path). Incompatible: its _metadata isn't one that Flink 1.11 … 2.3 wrote.
func (c *Client) ReadSnapshot(ctx context.Context, location string) (snapshot.Snapshot, error) {
	_, name, err := c.complete(ctx, location)
	if err != nil {
		return snapshot.Snapshot{}, err
	}
	var found snapshot.Snapshot
	_, err = c.parse(ctx, name, func(from io.Reader) (err error) {
		found, err = snapshot.Parse(from)
		return err
	})
	return found, err
}

// parse reads a _metadata with one of the package snapshot's readers and gives its
// length.
func (c *Client) parse(ctx context.Context, name string, parse func(io.Reader) error) (size int64, err error) {
	var format *snapshot.FormatError
	err = c.read(ctx, name, func(h *colinmarc.Client) error {
		file, err := h.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		size, format = file.Stat().Size(), nil
		source := &counted{from: io.LimitReader(file, maxMetadata)}
		err = parse(source)
		if errors.As(err, &format) && source.err != nil && source.read < min(size, maxMetadata) {
			return source.err // not the file ended too early, the connection did
		} else if format != nil {
			return nil // an answer, judged below
		}
		return err
	})
	if err == nil && format != nil {
		err = failure.New(failure.Incompatible, "%s %v", name, format).WithNext(incompleteNextStep)
	}
	return size, err
}

// counted knows how far it came.
type counted struct {
	from io.Reader
	read int64
	err  error
}

func (c *counted) Read(into []byte) (int, error) {
	n, err := c.from.Read(into)
	c.read += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}
