package problem

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

func TestAFailureSurvivesHTTP(t *testing.T) {
	for _, kind := range Kinds {
		f := failure.New(kind.Code, "what happened").WithNext("do this").With("operation", "01J").
			WithFields(failure.Field{Name: "/a", Reason: "is wrong", Next: "mend it"})
		recorder := httptest.NewRecorder()
		require.NoError(t, Write(recorder, f, "/v1/x"))
		response := recorder.Result()
		require.Equal(t, kind.Status, response.StatusCode)
		back := Parse(response)
		if kind.Code == failure.Internal {
			require.Equal(t, kind.Title, back.Message, "an internal error's text stays inside")
			back.Message = f.Message
		}
		require.Equal(t, f, back)
	}
}

func TestEveryKindHasATitleAPageAndAStatus(t *testing.T) {
	seen := map[failure.Code]bool{}
	for _, kind := range Kinds {
		require.NotEmpty(t, kind.Title)
		require.NotEmpty(t, kind.About)
		require.GreaterOrEqual(t, kind.Status, http.StatusBadRequest)
		require.False(t, seen[kind.Code])
		seen[kind.Code] = true
	}
	require.Equal(t, failure.Internal, KindOf("made up").Code)
}

func TestWhatIsNoProblemDocument(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   failure.Code
	}{
		{502, "<html>proxy</html>", failure.Unavailable},
		{503, "", failure.Unavailable},
		{404, "not found", failure.NotFound},
		{401, "{}", failure.Unauthorized},
		{418, "{}", failure.Internal},
	} {
		require.Equal(t, c.want, FromBody(c.status, "text/html", []byte(c.body), nil).Code)
	}
	require.Equal(t, failure.Internal, FromBody(500, ContentType, []byte(`{"type":"/problems/busy"}`), errors.New("cut off")).Code)
}
