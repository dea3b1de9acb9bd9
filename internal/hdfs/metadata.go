package hdfs

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"path"

	colinmarc "github.com/colinmarc/hdfs/v2"

	"sluice/internal/failure"
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

// The header (Flink: Checkpoints.HEADER_MAGIC_NUMBER, MetadataV2…V6Serializer):
// int32 magic, int32 version, int64 checkpoint id, big-endian.
const (
	metadataMagic      = 0x4960672d
	metadataHeader     = 16
	oldestMetadata     = 2
	newestMetadata     = 6
	incompleteNextStep = "it is not a complete snapshot; restore from another one"
)

// VerifyMetadata proves that location (hdfs://… or a path) is a snapshot whose
// _metadata is there, closed, not empty and begins as Flink's does. NotFound:
// the NameNode says that it isn't there. Incompatible: it is there, but not that.
func (c *Client) VerifyMetadata(ctx context.Context, location string) (Metadata, error) {
	directory, err := Path(location)
	if err != nil {
		return Metadata{}, err
	}
	if path.Base(directory) == metadataName {
		directory = path.Dir(directory)
	}
	name := path.Join(directory, metadataName)
	closed, err := c.isClosed(ctx, name)
	if err != nil {
		return Metadata{}, err
	}
	if !closed {
		return Metadata{}, failure.New(failure.Incompatible, "%s is still being written", name).WithNext(incompleteNextStep)
	}
	var header [metadataHeader]byte
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
	found, err := parseHeader(header[:read])
	if err != nil {
		return Metadata{}, failure.New(failure.Incompatible, "%s %v", name, err).WithNext(incompleteNextStep)
	}
	found.Location, found.Bytes = authority(location)+directory, size
	return found, nil
}

func parseHeader(header []byte) (Metadata, error) {
	if len(header) < metadataHeader {
		return Metadata{}, errors.New("is too short to be Flink's")
	}
	if binary.BigEndian.Uint32(header) != metadataMagic {
		return Metadata{}, errors.New("does not begin as Flink's does")
	}
	m := Metadata{
		Version:      int32(binary.BigEndian.Uint32(header[4:])),
		CheckpointID: int64(binary.BigEndian.Uint64(header[8:])),
	}
	if m.Version < oldestMetadata || m.Version > newestMetadata {
		return Metadata{}, errors.New("has a format version that is not known")
	}
	if m.CheckpointID < 0 {
		return Metadata{}, errors.New("has a negative checkpoint id")
	}
	return m, nil
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
		found, err := c.VerifyMetadata(ctx, authority(location)+candidate)
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
