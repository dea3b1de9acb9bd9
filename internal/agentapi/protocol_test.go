package agentapi

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

func TestOnlyAgentsOfThreeNumbersAreBelieved(t *testing.T) {
	for header, want := range map[string]failure.Code{
		strconv.Itoa(Protocol): "", strconv.Itoa(Protocol - 1): "", strconv.Itoa(Protocol - 2): "",
		strconv.Itoa(Protocol - 3): failure.Outdated, strconv.Itoa(Protocol + 1): failure.Unavailable,
	} {
		err := checkProtocol(header, "here")
		require.Equal(t, want, failure.CodeOf(err), header)
		if err != nil {
			require.NotEmpty(t, failure.Of(err).Next)
		}
	}
	require.Equal(t, 1, protocolOf(""), "agents from before the handshake")
}

// What an agent that is too old says is not even read.
func TestAnAgentThatIsTooOldIsRefused(t *testing.T) {
	endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(ProtocolHeader, strconv.Itoa(oldestProtocol-1))
		write(w, Status{ID: command.ID, Phase: Done, Version: 2, Result: []byte(`{"restarts":0}`)})
	})
	_, err := Run[SoakOut](t.Context(), NewClient(nil), endpoint, command, nil)
	require.Equal(t, failure.Outdated, failure.CodeOf(err))
	require.Contains(t, failure.Of(err).Next, "the job runs on")
	_, err = NewClient(nil).State(t.Context(), endpoint)
	require.Equal(t, failure.Outdated, failure.CodeOf(err), "a plan sees it before any effect")
}

// Agents of before refuse what they don't know by words only.
func TestAnOldAgentsWordForAnUnknownPart(t *testing.T) {
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = problem.Write(w, failure.New(failure.Invalid, "the command is not readable"), r.URL.Path)
	})
	_, err := Run[SoakOut](t.Context(), NewClient(nil), endpoint, command, nil)
	require.Equal(t, failure.Outdated, failure.CodeOf(err))
}
