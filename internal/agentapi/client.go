package agentapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

// Endpoint is one agent.
type Endpoint struct {
	URL    string
	JobUID string // of the job that it is believed to serve
}

// JobHeader holds Endpoint.JobUID: a job that was deleted and made again has the
// same names.
const JobHeader = "Sluice-Job-Uid"

// Client talks to agents. One client with one transport serves a whole process.
type Client struct {
	HTTP *http.Client
	// Wait is how long one poll stays open; default 20 s.
	Wait time.Duration
	// Patience is how long an agent may be away before the caller hears of it;
	// default 10 s.
	Patience time.Duration
}

// NewClient makes a client with a transport of its own; doors holds the caller's
// certificate (pki.Authority.Client).
func NewClient(doors *tls.Config) *Client {
	return &Client{HTTP: &http.Client{
		Transport:     NewTransport(doors),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// NewTransport makes the transport that all calls of a process to agents share.
func NewTransport(doors *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig:     doors,
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
	}
}

func (c *Client) wait() time.Duration {
	if c.Wait > 0 {
		return c.Wait
	}
	return 20 * time.Second
}

func (c *Client) patience() time.Duration {
	if c.Patience > 0 {
		return c.Patience
	}
	return 10 * time.Second
}

// Run puts a command and waits for its end; onStatus (may be nil) hears of every
// change and after every poll. The command's own failure is returned as the
// *failure.Error that it was. An agent that restarted gets the command again.
// One that stays away is failure.Unavailable: the caller runs it again later,
// with the same id.
func Run[Out any](ctx context.Context, c *Client, endpoint Endpoint, command Command, onStatus func(Status)) (Out, error) {
	var out Out
	status, err := c.follow(ctx, endpoint, command, onStatus)
	if err != nil {
		return out, err
	}
	if status.Phase == Failed {
		if status.Failure == nil {
			return out, failure.New(failure.Internal, "command %s failed without saying why", command.ID)
		}
		return out, status.Failure
	}
	if err := json.Unmarshal(status.Result, &out); err != nil {
		return out, failure.Wrap(failure.Internal, err, "the result of command %s can't be read", command.ID)
	}
	return out, nil
}

// follow puts and polls until the command is over.
func (c *Client) follow(ctx context.Context, endpoint Endpoint, command Command, onStatus func(Status)) (Status, error) {
	const pause = 200 * time.Millisecond
	var status Status
	known := false
	lastAnswer := time.Now()
	for {
		next, err := c.step(ctx, endpoint, command, known, status.Version)
		switch code := failure.CodeOf(err); {
		case err == nil:
			known, status, lastAnswer = true, next, time.Now()
			if onStatus != nil {
				onStatus(status)
			}
			if status.Phase != Running {
				return status, nil
			}
			continue
		case code == failure.NotFound && known: // the agent restarted and forgot it
			known, status = false, Status{}
			continue
		case code != failure.Unavailable || time.Since(lastAnswer) > c.patience():
			return Status{}, err
		}
		select {
		case <-ctx.Done():
			return Status{}, failure.Wrap(failure.Unavailable, ctx.Err(), "stopped waiting for command %s", command.ID)
		case <-time.After(pause):
		}
	}
}

func (c *Client) step(ctx context.Context, endpoint Endpoint, command Command, known bool, version int64) (Status, error) {
	var status Status
	path := "/v1/commands/" + url.PathEscape(command.ID)
	if !known {
		err := c.call(ctx, endpoint, http.MethodPut, path, nil, command, &status)
		return status, err
	}
	query := url.Values{"wait": {c.wait().String()}, "version": {strconv.FormatInt(version, 10)}}
	err := c.call(ctx, endpoint, http.MethodGet, path, query, nil, &status)
	return status, err
}

// State reads an agent's view of its cluster.
func (c *Client) State(ctx context.Context, endpoint Endpoint) (State, error) {
	var state State
	err := c.call(ctx, endpoint, http.MethodGet, "/v1/state", nil, nil, &state)
	return state, err
}

const maxAnswer = 8 << 20

func (c *Client) call(ctx context.Context, endpoint Endpoint, method, path string, query url.Values, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.wait()+10*time.Second)
	defer cancel()
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return failure.Wrap(failure.Internal, err, "encode a command")
		}
		content = bytes.NewReader(data)
	}
	target := endpoint.URL + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return failure.Wrap(failure.Internal, err, "make a request to the agent")
	}
	request.Header.Set(JobHeader, endpoint.JobUID)
	otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(request.Header)) // the agent's spans belong to ours
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return failure.Wrap(failure.Unavailable, err, "the agent at %s does not answer", endpoint.URL)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return failure.Wrap(failure.Unavailable, err, "the agent at %s broke off its answer", endpoint.URL)
	}
	if response.StatusCode != http.StatusOK {
		return problemIn(response, data, endpoint.URL)
	}
	if err := checkProtocol(response.Header.Get(ProtocolHeader), endpoint.URL); err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return failure.Wrap(failure.Unavailable, err, "the agent's answer can't be read")
	}
	return nil
}

// problemIn is the agent's own word; anything else (a proxy, another server on
// the address) says nothing about the command.
func problemIn(response *http.Response, data []byte, from string) error {
	media := response.Header.Get("Content-Type")
	if !strings.HasPrefix(media, problem.ContentType) {
		return failure.New(failure.Unavailable, "%s answered HTTP %d, which is not the agent's", from, response.StatusCode)
	}
	header := response.Header.Get(ProtocolHeader)
	if err := checkProtocol(header, from); err != nil {
		return err
	}
	f := problem.FromBody(response.StatusCode, media, data, nil)
	if unknownPart(f, header) {
		return Outdated("the agent at %s doesn't know a part of the command: %s", from, f.Message)
	}
	return f
}
