package hostile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

// Do sends a generated request through an HTTP client.
func (s Server) Do(ctx context.Context, client *http.Client, r Generated) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, r.method, s.URL+r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, err
	}
	request.Header = r.Header.Clone()
	if token := s.Tokens[r.As]; token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, text}, err
}

// JudgeGenerated says what is wrong with an answer, whatever the request was: it is
// never a server's error, a refusal is a whole problem, and anything else has the
// form that the document gives it. away lets the record store be away.
func JudgeGenerated(ctx context.Context, document *openapi3.T, r Generated, a Answer, away bool) error {
	if a.Status >= http.StatusBadRequest && r.method != http.MethodHead {
		p, err := JudgeProblem(a)
		if err != nil {
			return err
		}
		if a.Status >= http.StatusInternalServerError && (!away || p.Type != problem.TypePrefix+string(failure.Unavailable)) {
			return fmt.Errorf("a server's error: %s", a.Body)
		}
	}
	if r.method == http.MethodHead && a.Status >= http.StatusInternalServerError && !away {
		return fmt.Errorf("a server's error: %d", a.Status)
	}
	return asDocumented(ctx, document, r, a)
}

// stream is the one kind of answer whose body has no schema.
const stream = "text/event-stream"

func asDocumented(ctx context.Context, document *openapi3.T, r Generated, a Answer) error {
	request, err := http.NewRequestWithContext(ctx, r.method, "http://api/", http.NoBody)
	if err != nil {
		return err
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request,
			Route:   &routers.Route{Spec: document, Path: r.path, PathItem: r.item, Method: r.method, Operation: r.operation},
		},
		Status: a.Status, Header: a.Header,
		Options: &openapi3filter.Options{MultiError: true, ExcludeResponseBody: r.method == http.MethodHead || a.Header.Get("Content-Type") == stream, IncludeResponseStatus: true},
	}
	input.SetBodyBytes(a.Body)
	if err := openapi3filter.ValidateResponse(ctx, input); err != nil {
		return fmt.Errorf("the answer %d is not as the document says: %w\n%s", a.Status, err, a.Body)
	}
	return nil
}

// String shows a request so that it can be sent again.
func (r Generated) String() string {
	return fmt.Sprintf("%s %s as %q, headers %v, body %q", r.method, r.URL, r.As, r.Header, r.Body)
}
