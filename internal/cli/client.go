package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
	"sluice/internal/job"
	"sluice/internal/version"
)

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
	source := "SLUICE_TOKEN"
	token := os.Getenv(source)
	if a.tokenFile != "" {
		content, err := os.ReadFile(a.tokenFile)
		if err != nil {
			return nil, usage("--token-file can't be read: %v", err)
		}
		token, source = string(content), "the token file "+a.tokenFile
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return nil, failure.New(failure.Unauthorized, "no token").WithNext("set SLUICE_TOKEN or give --token-file")
	}
	if strings.ContainsFunc(token, unicode.IsControl) { // no header can carry it
		return nil, usage("%s holds a line break or another control character within the token; it must be one token, on one line", source)
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
		return value, response.StatusCode, refusal(response)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(&value); err != nil {
		if disconnected(err) {
			return value, response.StatusCode, away(err)
		}
		return value, response.StatusCode, foreign(response)
	}
	return value, response.StatusCode, nil
}

// refusal is what an answer that is an error says. The api says it in a problem
// document; of others only a proxy's word on who may, how much and what is away
// counts: another server's 404 doesn't prove that the api has no such thing.
func refusal(response *http.Response) error {
	f := problem.Parse(response)
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media != problem.ContentType && (f.Code == failure.NotFound || f.Code == failure.Internal) {
		return foreign(response)
	}
	return f
}

// foreign is an answer that the api doesn't give. It is Unknown, not Unavailable:
// asking again would not help, and what a request did there nobody knows.
func foreign(response *http.Response) error {
	return failure.New(failure.Unknown, "what answers at this address (%d %s) does not speak as a Sluice api does", response.StatusCode, http.StatusText(response.StatusCode)).
		WithNext("is this address the Sluice api's? check --server or SLUICE_SERVER")
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
