// Command image writes a container image from directories, without a registry
// and without Docker: an OCI layout in a tar archive that
// `ctr images import` and every other OCI tool read.
//
// The result depends on the directories' content and the flags alone: entries
// are sorted, times are 0, everything belongs to root. The same content has the
// same digest on every machine, so a tag made from it changes exactly when the
// content does.
//
//	image -name docker.io/sluice/api -config config.json -out api.tar DIR...
//
// Each DIR becomes one layer, rooted at /. The reference is printed on stdout.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	name := flag.String("name", "", "repository, e.g. docker.io/sluice/api")
	tag := flag.String("tag", "", "tag; empty: the first 12 hex digits of the image's digest")
	suffix := flag.String("tag-suffix", "", "appended to a tag made from the digest")
	config := flag.String("config", "", "file with the image's config object as JSON (Entrypoint, Env, User, …)")
	out := flag.String("out", "", "archive to write")
	flag.Parse()
	reference, err := run(*name, *tag, *suffix, *config, *out, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(reference)
}

func run(name, tag, suffix, configFile, out string, dirs []string) (string, error) {
	if name == "" || out == "" || len(dirs) == 0 {
		return "", fmt.Errorf("-name, -out and at least one directory are needed")
	}
	var config v1.Config
	if configFile != "" {
		raw, err := os.ReadFile(configFile)
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal(raw, &config); err != nil {
			return "", fmt.Errorf("%s: %w", configFile, err)
		}
	}
	work, err := os.MkdirTemp("", "image-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	img, err := build(work, config, dirs)
	if err != nil {
		return "", err
	}
	digest, err := img.Digest()
	if err != nil {
		return "", err
	}
	if tag == "" {
		tag = digest.Hex[:12] + suffix
	}
	reference := name + ":" + tag
	if err := writeArchive(img, reference, tag, work, out); err != nil {
		return "", fmt.Errorf("%s: %w", out, err)
	}
	return reference, nil
}
