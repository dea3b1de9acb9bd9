package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
	"sluice/internal/look"
)

func (a *app) jobCommand() *cobra.Command {
	return group("job", "Look at the Flink of a running job, read-only", a.uiCommand(), a.restCommand())
}

func (a *app) uiCommand() *cobra.Command {
	var port uint16
	command := &cobra.Command{
		Use: "ui JOB", Short: "Serve Flink's own UI on this machine, until ctrl-c", Args: arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, name, err := a.jobOf(args[0])
			if err != nil {
				return err
			}
			if err := rest(c.Context(), client, a.flinkOf(client, name), "/config", io.Discard); err != nil {
				return err // better now than in a browser
			}
			return a.serveUI(c.Context(), client, name, port)
		},
	}
	command.Flags().Uint16Var(&port, "port", 0, "of 127.0.0.1; any free one when left out")
	return command
}

func (a *app) restCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rest JOB PATH", Short: "Print what Flink's REST answers, e.g. at /jobs/overview", Args: arguments(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			client, name, err := a.jobOf(args[0])
			if err != nil {
				return err
			}
			if !strings.HasPrefix(args[1], "/") {
				return usage("the path %q does not begin with a slash", args[1])
			}
			return rest(c.Context(), client, a.flinkOf(client, name), args[1], a.out)
		},
	}
}

func (a *app) jobOf(argument string) (*apiclient.Client, string, error) {
	name, err := a.jobRef(argument)
	if err != nil {
		return nil, "", err
	}
	client, err := a.client()
	return client, name, err
}

// flinkOf is the api's address of a job's Flink; both names are checked.
func (a *app) flinkOf(client *apiclient.Client, name string) string {
	return strings.TrimSuffix(client.Server, "/") + "/v1/tenants/" + a.tenant + "/jobs/" + name + "/flink"
}

// rest copies what Flink answers.
func rest(ctx context.Context, client *apiclient.Client, flink, path string, out io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, flink+path, http.NoBody)
	if err != nil {
		return usage("%q is no path of Flink's REST", path)
	}
	if err := introduce(client, request); err != nil {
		return err
	}
	response, err := client.Client.Do(request)
	if err != nil {
		return away(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusMultipleChoices {
		return unread(response)
	}
	if _, err := io.Copy(out, response.Body); err != nil {
		return failure.Wrap(failure.Unavailable, err, "the answer broke off")
	}
	return nil
}

// maxWord is how much of an error of Flink's is shown.
const maxWord = 2 << 10

// unread is the api's refusal, or Flink's.
func unread(response *http.Response) error {
	if media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); media == problem.ContentType {
		return refusal(response)
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxWord))
	code := failure.Unknown
	if response.StatusCode == http.StatusNotFound {
		code = failure.NotFound
	}
	return failure.New(code, "Flink answers %d: %s", response.StatusCode, text).WithNext("is the path Flink's? its REST is described in Flink's documentation")
}

// introduce puts on a request what each of the client's has: the token.
func introduce(client *apiclient.Client, request *http.Request) error {
	for _, edit := range client.RequestEditors {
		if err := edit(request.Context(), request); err != nil {
			return err
		}
	}
	return nil
}

// serveUI shows the UI to one person: on loopback, under a key that only whoever
// sees our output knows. The token stays in this process.
func (a *app) serveUI(ctx context.Context, client *apiclient.Client, name string, port uint16) error {
	w, err := newWindow(ctx, client, a.flinkOf(client, name))
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return usage("can't listen on port %d of 127.0.0.1: %v", port, err)
	}
	_, w.port, _ = net.SplitHostPort(listener.Addr().String())
	server := &http.Server{Handler: w, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	_, _ = fmt.Fprintf(a.out, "http://127.0.0.1:%s/%s/\n", w.port, w.key)
	_, _ = fmt.Fprintf(a.err, "Flink of %s/%s, read-only; ctrl-c ends it\n", a.tenant, name)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return failure.Wrap(failure.Unavailable, err, "the UI can't be served any more")
	}
	return nil
}

// window is what a browser on this machine sees.
type window struct {
	way  look.Way
	key  string // the first segment of every address: other users of the machine reach the port too
	port string
}

func newWindow(ctx context.Context, client *apiclient.Client, flink string) (*window, error) {
	base, err := url.Parse(flink)
	if err != nil {
		return nil, usage("--server can't be used")
	}
	ours, err := http.NewRequestWithContext(ctx, http.MethodGet, flink, http.NoBody)
	if err != nil {
		return nil, usage("--server can't be used")
	}
	if err := introduce(client, ours); err != nil {
		return nil, err
	}
	return &window{
		way: look.Way{To: "the api", Base: base, Header: ours.Header, Transport: transport()},
		key: rand.Text(),
	}, nil
}

// ServeHTTP answers a browser. A page from elsewhere that made its own name point
// to 127.0.0.1 (DNS rebinding) comes with that name as its host.
func (w *window) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer") // the address has the key in it
	header.Set("Content-Security-Policy", "frame-ancestors 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Host != "127.0.0.1:"+w.port && r.Host != "localhost:"+w.port {
		look.Refuse(rw, r, failure.New(failure.Forbidden, "this is served to 127.0.0.1 and localhost only").WithNext("use the address that sluice job ui printed"))
		return
	}
	read, err := look.Parse(r, "/"+w.key)
	if err == nil {
		err = w.way.Forward(rw, r, read)
	}
	if err != nil {
		look.Refuse(rw, r, err)
	}
}
