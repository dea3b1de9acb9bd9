package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// endless gives n bytes without holding them.
type endless struct{ left int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), e.left)
	e.left -= n
	return int(n), nil
}

func TestAnUploadIsNotHeldInMemory(t *testing.T) {
	w := assemble(t, nil, nil)
	server := httptest.NewServer(w.api.web)
	defer server.Close()
	const size = 500 << 20
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/tenants/shop/artifacts",
		io.MultiReader(strings.NewReader("PK\x03\x04"), &endless{size - 4}))
	require.NoError(t, err)
	request.ContentLength = size
	request.Header.Set("Authorization", "Bearer "+operatorToken)
	request.Header.Set("Content-Type", "application/java-archive")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusCreated, response.StatusCode)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "all that was allocated on the way, in bytes")
}
