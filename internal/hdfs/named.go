package hdfs

import (
	"context"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	colinmarc "github.com/colinmarc/hdfs/v2"

	"sluice/internal/failure"
	"sluice/internal/snapshot"
)

// named are the files of which a snapshot consists, by directory: name → least
// length. An incremental checkpoint's lie in several directories.
type named map[string]map[string]int64

// nameFiles brings what a _metadata says into places on this file system.
// location is the snapshot's directory as it was asked for.
func nameFiles(location string, files []snapshot.File) (named, error) {
	at := authority(location)
	directory := strings.TrimPrefix(location, at)
	all := named{}
	for _, f := range files {
		name, known := directory+"/"+f.Path, true
		if !f.Relative {
			from := authority(f.Path)
			name, known = strings.TrimPrefix(f.Path, from), from != "" && (at == "" || from == at)
		}
		if !known || path.Clean(name) != name || unprintable(name) {
			return nil, failure.New(failure.Incompatible, "%s names a file at an address where nobody can look for it: %q", directory, f.Path).
				WithNext(incompleteNextStep)
		}
		all.add(path.Dir(name), path.Base(name), f.Bytes)
	}
	return all, nil
}

func (n named) add(directory, name string, least int64) {
	if n[directory] == nil {
		n[directory] = map[string]int64{}
	}
	n[directory][name] = max(n[directory][name], least)
}

// lister gives the lengths of those of names that are files of a directory;
// none of one that isn't there.
type lister func(directory string, names map[string]int64) (map[string]int64, error)

// prove holds the files against what lies there: one listing a directory, however
// many files it has.
func (n named) prove(snapshot string, list lister) error {
	for _, directory := range slices.Sorted(maps.Keys(n)) {
		lengths, err := list(directory, n[directory])
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(n[directory])) {
			least := n[directory][name]
			if size, found := lengths[name]; !found || size < least {
				return failure.New(failure.Incompatible, "%s names %s with %d bytes of state, but that %s", snapshot, path.Join(directory, name), least, short(found, size)).
					WithNext(incompleteNextStep)
			}
		}
	}
	return nil
}

// page is how many entries the NameNode gives at once (dfs.ls.limit's default): of
// a directory that hundreds of checkpoints share no more is held.
const page = 1000

func (c *Client) lengths(ctx context.Context, directory string, names map[string]int64) (lengths map[string]int64, err error) {
	err = c.read(ctx, directory, func(h *colinmarc.Client) error {
		lengths = make(map[string]int64, len(names))
		reader, err := h.Open(directory)
		if err != nil {
			return err
		}
		defer func() { _ = reader.Close() }()
		for {
			entries, err := reader.Readdir(page)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			for _, entry := range entries {
				if _, asked := names[entry.Name()]; asked && !entry.IsDir() {
					lengths[entry.Name()] = entry.Size()
				}
			}
		}
	})
	if failure.CodeOf(err) == failure.NotFound {
		return nil, nil
	}
	return lengths, err
}
