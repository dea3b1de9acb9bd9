//nolint:bodyclose // read closes the body of every answer
package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
)

func (a *app) artifactCommand() *cobra.Command {
	push := &cobra.Command{
		Use: "push FILE", Short: "Store a jar and print its digest", Args: arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			artifact, existed, err := a.push(c.Context(), client, args[0])
			if err != nil {
				return err
			}
			if existed {
				_, _ = fmt.Fprintln(a.err, "it was there already")
			}
			return a.print(artifact, "", [][]string{{artifact.Digest}})
		},
	}
	return group("artifact", "Artifacts: immutable files named by their SHA-256", push)
}

// push sends a file unless the server has it.
func (a *app) push(ctx context.Context, client *apiclient.Client, name string) (artifact apiclient.Artifact, existed bool, err error) {
	file, digest, length, err := a.hashed(name)
	if err != nil {
		return artifact, false, err
	}
	defer func() { _ = file.Close() }()
	artifact, err = read[apiclient.Artifact](client.GetArtifact(ctx, a.tenant, digest))
	if failure.CodeOf(err) != failure.NotFound {
		return artifact, true, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return artifact, false, usage("the artifact can't be read: %v", err)
	}
	began := time.Now()
	sending := a.meter("sending "+filepath.Base(name), file, length)
	// NopCloser: the transport closes bodies, the file is ours.
	response, err := client.PutArtifactWithBody(ctx, a.tenant, &apiclient.PutArtifactParams{Expected: digest}, "application/java-archive", io.NopCloser(sending),
		func(_ context.Context, request *http.Request) error {
			request.ContentLength = length
			request.Header.Set("Expect", "100-continue")
			return nil
		})
	artifact, status, err := readStatus[apiclient.Artifact](response, err)
	sending.close()
	if err == nil {
		_, _ = fmt.Fprintf(a.err, "pushed %s in %s\n", size(artifact.Bytes), took(time.Since(began).Milliseconds()))
	}
	return artifact, status == http.StatusOK, err
}

// hashed opens a file and reads its digest and length.
func (a *app) hashed(name string) (file *os.File, digest string, length int64, err error) {
	if file, err = os.Open(name); err != nil { //nolint:gosec // the user names the file
		return nil, "", 0, usage("the artifact can't be read: %v", err)
	}
	info, err := file.Stat()
	if err == nil {
		sum := sha256.New()
		reading := a.meter("hashing "+filepath.Base(name), file, info.Size())
		length, err = io.Copy(sum, reading)
		reading.close()
		digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	}
	if err != nil {
		_ = file.Close()
		return nil, "", 0, usage("the artifact can't be read: %v", err)
	}
	return file, digest, length, nil
}
