package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
	"sluice/internal/job"
	"sluice/internal/version"
)

type serverVersion = apiclient.Version

// transport waits for the server's "100 Continue" before it sends a large body,
// so that a refused upload costs nothing.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
	}
}

func (a *app) anonymous() (*apiclient.Client, error) {
	if a.server == "" {
		return nil, usage("no server: give --server or set SLUICE_SERVER")
	}
	address, err := url.Parse(a.server)
	if err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https") {
		return nil, usage("--server %q is not of the form http(s)://host:port", a.server)
	}
	client, err := apiclient.NewClient(a.server,
		apiclient.WithHTTPClient(&http.Client{Transport: transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}),
		apiclient.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
			request.Header.Set("User-Agent", "sluice/"+version.Version)
			return nil
		}))
	if err != nil {
		return nil, usage("--server %q can't be used", a.server)
	}
	return client, nil
}

// client is the api's with our token.
func (a *app) client() (*apiclient.Client, error) {
	client, err := a.anonymous()
	if err != nil {
		return nil, err
	}
	if reason := job.CheckName(a.tenant); reason != "" {
		return nil, usage("the tenant %s: give --tenant or set SLUICE_TENANT", reason)
	}
	token := os.Getenv("SLUICE_TOKEN")
	if a.tokenFile != "" {
		content, err := os.ReadFile(a.tokenFile)
		if err != nil {
			return nil, usage("--token-file can't be read: %v", err)
		}
		token = string(content)
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return nil, failure.New(failure.Unauthorized, "no token").WithNext("set SLUICE_TOKEN or give --token-file")
	}
	client.RequestEditors = append(client.RequestEditors, func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
	return client, nil
}

// jobRef takes "name" or "tenant/name".
func (a *app) jobRef(argument string) (string, error) {
	if tenant, name, found := strings.Cut(argument, "/"); found {
		a.tenant, argument = tenant, name
	}
	if reason := job.CheckName(argument); reason != "" {
		return "", usage("the job's name %q %s", argument, reason)
	}
	return argument, nil
}

// read makes a value of an answer, or a failure.
func read[T any](response *http.Response, err error) (T, error) {
	value, _, err := readStatus[T](response, err)
	return value, err
}

func readStatus[T any](response *http.Response, err error) (value T, status int, _ error) {
	if err != nil {
		return value, 0, away(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusMultipleChoices {
		return value, response.StatusCode, problem.Parse(response)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(&value); err != nil {
		if disconnected(err) {
			return value, response.StatusCode, away(err)
		}
		return value, response.StatusCode, failure.New(failure.Internal, "the server's answer can't be read").WithNext("is the address the Sluice api's?")
	}
	return value, response.StatusCode, nil
}

func disconnected(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// away maps a request that got no answer.
func away(err error) error {
	var known *failure.Error
	if errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return failure.New(failure.Canceled, "interrupted")
	}
	var address *url.Error
	if errors.As(err, &address) {
		err = address.Err // the address may hold what should not be shown
	}
	return failure.Wrap(failure.Unavailable, err, "the server can't be reached").WithNext("check --server, and whether it runs")
}
