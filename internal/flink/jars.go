package flink

import (
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"path"

	"sluice/internal/failure"
)

// Jar is an uploaded jar.
type Jar struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Jars lists the uploaded jars.
func (c *Client) Jars(ctx context.Context) ([]Jar, error) {
	var out struct {
		Files []Jar `json:"files"`
	}
	err := c.get(ctx, "/jars", &out)
	return out.Files, err
}

// Upload streams a jar of size bytes under the given name and returns Flink's id
// for it. A second upload makes a second id: harmless.
func (c *Client) Upload(ctx context.Context, name string, content io.Reader, size int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() { writer.CloseWithError(writeForm(form, name, content, size)) }()
	defer func() { _ = reader.Close() }() // ends the goroutine if the request ended early

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/jars/upload", reader)
	if err != nil {
		return "", failure.Wrap(failure.Internal, err, "make a request to Flink")
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	var out struct {
		Filename string `json:"filename"`
	}
	if err := c.send(request, read, &out); err != nil { // lost: may be repeated
		return "", err
	}
	if out.Filename == "" {
		return "", failure.New(failure.Unavailable, "Flink took the jar but did not name it")
	}
	return path.Base(out.Filename), nil
}

func writeForm(form *multipart.Writer, name string, content io.Reader, size int64) error {
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {fmt.Sprintf(`form-data; name="jarfile"; filename=%q`, name)},
		"Content-Type":        {"application/x-java-archive"},
	})
	if err != nil {
		return err
	}
	if n, err := io.Copy(part, content); err != nil {
		return err
	} else if n != size {
		return fmt.Errorf("the jar has %d bytes, %d were read", size, n)
	}
	return form.Close()
}

// Program is what a jar's main is run with.
type Program struct {
	EntryClass  string
	Arguments   []string
	Parallelism int
	Options     map[string]string // of the job; the cluster's own come from its configuration
	// AllowStateLoss lets state of a snapshot go that the job graph has no operator for.
	AllowStateLoss bool
}

func (p Program) body() map[string]any {
	body := map[string]any{"entryClass": p.EntryClass, "parallelism": p.Parallelism}
	if len(p.Arguments) > 0 {
		body["programArgsList"] = p.Arguments
	}
	if len(p.Options) > 0 {
		body["flinkConfiguration"] = p.Options
	}
	return body
}

// Node is a vertex of a job graph.
type Node struct {
	ID          string  `json:"id"`
	Description string  `json:"description"`
	Parallelism int     `json:"parallelism"`
	Inputs      []Input `json:"inputs"`
}

// Input is where a vertex reads from.
type Input struct {
	ID string `json:"id"`
}

// Plan runs main to build the job graph, and nothing else. A main that throws is
// failure.Incompatible with its exception.
func (c *Client) Plan(ctx context.Context, jar string, program Program) ([]Node, error) {
	var out struct {
		Plan struct {
			Nodes []Node `json:"nodes"`
		} `json:"plan"`
	}
	err := c.do(ctx, call{
		kind: read, method: http.MethodPost, path: "/jars/" + url.PathEscape(jar) + "/plan",
		body: program.body(), timeout: effectTimeout,
	}, &out)
	return out.Plan.Nodes, err
}

// Run submits the job under jobID, restored from savepoint if that is not "".
// IsDuplicate tells that an earlier POST had arrived. State that the new graph
// does not take is dropped only where the program says so, and the snapshot stays
// ours (NO_CLAIM).
func (c *Client) Run(ctx context.Context, jar string, program Program, jobID, savepoint string) error {
	body := program.body()
	body["jobId"] = jobID
	if savepoint != "" {
		body["savepointPath"] = savepoint
		body["allowNonRestoredState"] = program.AllowStateLoss
		body["claimMode"] = "NO_CLAIM" // since 1.20; "restoreMode" is gone in 2.x
	}
	var out struct {
		JobID string `json:"jobid"`
	}
	err := c.do(ctx, call{
		kind: effect, method: http.MethodPost, path: "/jars/" + url.PathEscape(jar) + "/run",
		body: body, timeout: effectTimeout,
	}, &out)
	if err == nil && out.JobID != jobID {
		return failure.New(failure.Unknown, "Flink ran job %s instead of %s", out.JobID, jobID)
	}
	return err
}
