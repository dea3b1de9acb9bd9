package hdfs

import (
	"cmp"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	colinmarc "github.com/colinmarc/hdfs/v2"

	"sluice/internal/failure"
	"sluice/internal/snapshot"
)

// metadataName is the file that makes a directory a snapshot; Flink writes it
// last (AbstractFsCheckpointStorageAccess.METADATA_FILE_NAME).
const metadataName = "_metadata"

// Metadata is what the head of a snapshot's _metadata says.
type Metadata struct {
	Location     string // of the snapshot's directory, spelled (hdfs://host:port or not) as it was asked for
	Bytes        int64
	Version      int32 // of the format: 2 … 6
	CheckpointID int64
}

const incompleteNextStep = "it is not a complete snapshot; restore from another one"

// complete gives a snapshot's directory and its _metadata, which is closed.
func (c *Client) complete(ctx context.Context, location string) (directory, name string, err error) {
	if directory, err = Path(location); err != nil {
		return "", "", err
	}
	if path.Base(directory) == metadataName {
		directory = path.Dir(directory)
	}
	name = path.Join(directory, metadataName)
	closed, err := c.isClosed(ctx, name)
	if err == nil && !closed {
		err = failure.New(failure.Incompatible, "%s is still being written", name).WithNext(incompleteNextStep)
	}
	return directory, name, err
}

// VerifyMetadata proves that location (hdfs://… or a path) is a snapshot: its
// _metadata is there, closed and as Flink writes it, and every file that it names
// is there and no shorter than the state in it. NotFound: the NameNode says that
// the _metadata isn't there. Incompatible: it is there, but the snapshot isn't
// whole; the error names the file.
func (c *Client) VerifyMetadata(ctx context.Context, location string) (Metadata, error) {
	directory, name, err := c.complete(ctx, location)
	if err != nil {
		return Metadata{}, err
	}
	found := Metadata{Location: authority(location) + directory}
	var files []snapshot.File
	if found.Bytes, err = c.parse(ctx, name, func(from io.Reader) error {
		parsed, all, err := snapshot.Files(from)
		found.Version, found.CheckpointID, files = parsed.Version, parsed.CheckpointID, all
		return err
	}); err != nil {
		return Metadata{}, err
	}
	needed, err := nameFiles(found.Location, files)
	if err != nil {
		return Metadata{}, err
	}
	return found, needed.prove(directory, func(directory string, names map[string]int64) (map[string]int64, error) {
		return c.lengths(ctx, directory, names)
	})
}

// head reads the beginning of a _metadata that is there and closed.
func (c *Client) head(ctx context.Context, location string) (Metadata, error) {
	directory, name, err := c.complete(ctx, location)
	if err != nil {
		return Metadata{}, err
	}
	var header [snapshot.HeaderLength]byte
	var read int
	var size int64
	err = c.read(ctx, name, func(h *colinmarc.Client) error {
		file, err := h.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		size = file.Stat().Size()
		read, err = io.ReadFull(file, header[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // too short: judged below
		}
		return err
	})
	if err != nil {
		return Metadata{}, err
	}
	version, id, err := snapshot.Header(header[:read])
	if err != nil {
		return Metadata{}, failure.New(failure.Incompatible, "%s %v", name, err).WithNext(incompleteNextStep)
	}
	return Metadata{Location: authority(location) + directory, Bytes: size, Version: version, CheckpointID: id}, nil
}

// FindMetadata looks into the directory of one try of a savepoint for a complete
// one: Flink puts it into a child directory whose name it chooses. The newest by
// checkpoint id counts. NotFound when there is none; incomplete ones don't count.
func (c *Client) FindMetadata(ctx context.Context, location string) (Metadata, error) {
	directory, err := Path(location)
	if err != nil {
		return Metadata{}, err
	}
	entries, err := c.list(ctx, directory)
	if err != nil {
		return Metadata{}, err
	}
	candidates := []string{directory}
	for _, entry := range entries {
		if entry.IsDir() {
			candidates = append(candidates, path.Join(directory, entry.Name()))
		}
	}
	best := Metadata{CheckpointID: -1}
	for _, candidate := range candidates {
		found, err := c.head(ctx, authority(location)+candidate)
		switch failure.CodeOf(err) {
		case "":
			if found.CheckpointID > best.CheckpointID {
				best = found
			}
		case failure.NotFound, failure.Incompatible:
		default:
			return Metadata{}, err
		}
	}
	if best.CheckpointID < 0 {
		return Metadata{}, failure.New(failure.NotFound, "no complete savepoint lies below %s", directory)
	}
	return best, nil
}

// FindSavepoints finds the complete savepoints below location, the directory of all
// tries, whose own directories begin with one of made (job.MadeBy): what was made
// by one submission, whoever remembers it. In the order of made, the newest by
// checkpoint id first; of more than limit the rest is left out.
func (c *Client) FindSavepoints(ctx context.Context, location string, made []string, limit int) ([]Metadata, error) {
	root, err := Path(location)
	if err != nil {
		return nil, err
	}
	found := make([][]Metadata, len(made))
	tries, err := c.list(ctx, root)
	if err != nil {
		return nil, err
	}
	for _, try := range tries {
		if !try.IsDir() {
			continue
		}
		entries, err := c.list(ctx, path.Join(root, try.Name()))
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			i := slices.IndexFunc(made, func(begin string) bool { return strings.HasPrefix(entry.Name(), begin) })
			if i < 0 || !entry.IsDir() {
				continue
			}
			one, err := c.head(ctx, authority(location)+path.Join(root, try.Name(), entry.Name()))
			switch failure.CodeOf(err) {
			case "":
				found[i] = append(found[i], one)
			case failure.NotFound, failure.Incompatible: // never finished
			default:
				return nil, err
			}
		}
	}
	for _, of := range found {
		slices.SortFunc(of, func(a, b Metadata) int { return cmp.Compare(b.CheckpointID, a.CheckpointID) })
	}
	all := slices.Concat(found...)
	return all[:min(limit, len(all))], nil
}
