package api

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/hdfs"
	"sluice/internal/job"
)

const (
	// maxArtifact is the largest jar taken, in bytes.
	maxArtifact = 1 << 30
	// maxUploads bounds the uploads side by side: each holds a connection to HDFS,
	// and the small calls need some too.
	maxUploads = 8
	// stall ends an upload that sends nothing for so long.
	stall = time.Minute
)

// PutArtifact streams a jar to HDFS under its SHA-256.
func (a *API) PutArtifact(ctx context.Context, request gen.PutArtifactRequestObject) (gen.PutArtifactResponseObject, error) {
	expect, err := expected(request.Params)
	if err != nil {
		return nil, err
	}
	media, _, _ := mime.ParseMediaType(request.ContentType)
	if media != "application/java-archive" && media != "application/octet-stream" {
		return nil, failure.New(failure.Invalid, "the content type %q is not taken", media).
			WithFields(failure.Field{Name: "Content-Type", Reason: "is neither application/java-archive nor application/octet-stream", Next: "send application/java-archive"})
	}
	select {
	case a.uploads <- struct{}{}:
		defer func() { <-a.uploads }()
	default:
		return nil, failure.New(failure.Unavailable, "%d uploads are running already", maxUploads).WithNext("try again in a while")
	}
	content := bufio.NewReader(request.Body)
	if err := hdfs.CheckJarHead(content); err != nil { // before a gigabyte of something else is taken in
		return nil, inContent(err)
	}
	stored, err := a.artifacts.Put(ctx, request.Tenant, content, hdfs.PutOptions{Expect: expect, MaxBytes: maxArtifact, Check: hdfs.CheckJar})
	if err != nil {
		return nil, inContent(err)
	}
	answer := gen.Artifact{Digest: stored.Digest, Bytes: stored.Bytes}
	location := artifactPath(request.Tenant, stored.Digest)
	if stored.Existed {
		return gen.PutArtifact200JSONResponse{Body: answer, Headers: gen.PutArtifact200ResponseHeaders{Location: location}}, nil
	}
	a.metrics.uploaded.Add(ctx, stored.Bytes)
	return gen.PutArtifact201JSONResponse{Body: answer, Headers: gen.PutArtifact201ResponseHeaders{Location: location}}, nil
}

// inContent names the field when the content itself is what is wrong.
func inContent(err error) error {
	f := failure.Of(err)
	if (f.Code != failure.Invalid && f.Code != failure.TooLarge) || len(f.Fields) > 0 {
		return err
	}
	return f.WithFields(failure.Field{Name: "body", Reason: f.Message, Next: f.Next})
}

// expected is the digest that the sender announced; query and header must agree.
func expected(params gen.PutArtifactParams) (string, error) {
	fromHeader, err := digestHeader(params.Digest)
	if err != nil {
		return "", failure.New(failure.Invalid, "the announced digest can't be read").
			WithFields(failure.Field{Name: "Digest", Reason: err.Error()})
	}
	if params.Expected == "" {
		return fromHeader, nil
	}
	if _, err := job.ParseDigest(params.Expected); err != nil {
		return "", failure.New(failure.Invalid, "the announced digest can't be read").
			WithFields(failure.Field{Name: "digest", Reason: err.Error()})
	}
	if fromHeader != "" && fromHeader != params.Expected {
		return "", failure.New(failure.Invalid, "two digests are announced").
			WithFields(failure.Field{Name: "Digest", Reason: "differs from the query's digest", Next: "send one of them"})
	}
	return params.Expected, nil
}

// digestHeader reads "sha256:<hex>" or RFC 3230's "sha-256=<base64>".
func digestHeader(value string) (string, error) {
	if algorithm, encoded, found := strings.Cut(value, "="); found && strings.EqualFold(algorithm, "sha-256") {
		sum, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(sum) != 32 {
			return "", errors.New("is not of the form sha-256=<base64 of 32 bytes>")
		}
		return "sha256:" + hex.EncodeToString(sum), nil
	}
	if value == "" {
		return "", nil
	}
	_, err := job.ParseDigest(value)
	return value, err
}

// upload prepares a streamed body: its length is checked before a byte is read
// (a client that waits for "100 Continue" then sends none), and every read
// pushes the deadlines, so that a slow upload lives and a stalled one ends.
func upload(c echo.Context) error {
	request := c.Request()
	if request.ContentLength > maxArtifact {
		return failure.New(failure.TooLarge, "the content has %d bytes; at most %d (1 GiB) are taken", request.ContentLength, maxArtifact).
			WithNext("leave the engine's own classes out of the jar (scope provided)")
	}
	deadlines(c, stall, 2*stall)
	request.Body = &moving{ReadCloser: request.Body, progress: func() { deadlines(c, stall, 2*stall) }, end: func() { readFreely(c) }}
	return nil
}

// moving calls progress from time to time while it is read, and end at its end.
type moving struct {
	io.ReadCloser
	progress, end func()
	since         time.Time
}

func (m *moving) Read(b []byte) (int, error) {
	n, err := m.ReadCloser.Read(b)
	if n > 0 && time.Since(m.since) > time.Second {
		m.since = time.Now()
		m.progress()
	}
	if err != nil {
		m.end()
	}
	return n, err
}

// GetArtifact gives an artifact's size.
func (a *API) GetArtifact(ctx context.Context, request gen.GetArtifactRequestObject) (gen.GetArtifactResponseObject, error) {
	size, err := a.artifacts.Stat(ctx, request.Tenant, request.Digest)
	if err != nil {
		return nil, missing(err, request.Digest)
	}
	return gen.GetArtifact200JSONResponse{Digest: request.Digest, Bytes: size}, nil
}

// HeadArtifact says whether an artifact is there.
func (a *API) HeadArtifact(ctx context.Context, request gen.HeadArtifactRequestObject) (gen.HeadArtifactResponseObject, error) {
	size, err := a.artifacts.Stat(ctx, request.Tenant, request.Digest)
	if err != nil {
		return nil, missing(err, request.Digest)
	}
	return gen.HeadArtifact200Response{Headers: gen.HeadArtifact200ResponseHeaders{SluiceArtifactBytes: size}}, nil
}

// missing words HDFS's NotFound without its paths.
func missing(err error, digest string) error {
	if failure.CodeOf(err) == failure.NotFound {
		return failure.New(failure.NotFound, "the tenant has no artifact %s", digest).WithNext("push it: sluice artifact push FILE")
	}
	return err
}
