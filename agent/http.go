package agent

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
	"sluice/internal/pki"
	"sluice/internal/telemetry"
)

const (
	maxCommand = 1 << 20 // bytes of a command's body
	maxWait    = time.Minute
)

// handler is two doors. The look's addresses go by no mux: it would clean them, and
// answer with a redirection, before the list is asked.
func (a *Agent) handler() http.Handler {
	commands := only(pki.Worker, a.commandHandler())
	flinks := only(pki.API, http.HandlerFunc(a.getFlink))
	return declare(a.mine(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.EscapedPath(), agentapi.LookPath+"/") {
			flinks.ServeHTTP(w, r)
			return
		}
		commands.ServeHTTP(w, r)
	})))
}

func (a *Agent) commandHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/commands/{id}", a.putCommand)
	mux.HandleFunc("GET /v1/commands/{id}", a.getCommand)
	mux.HandleFunc("GET /v1/state", a.getState)
	addFaults(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, failure.New(failure.NotFound, "the agent has no %s %s", r.Method, r.URL.Path))
	})
	return mux
}

// only lets one of the platform's processes through. The handshake has proven who
// calls and refused all others; here stands what each of them may.
func only(who pki.Identity, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caller := pki.Peer(r.TLS); caller != who {
			refuse(w, r, failure.New(failure.Forbidden, "%q may not ask an agent for this", caller))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// declare says in every answer which protocol this agent speaks.
func declare(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(agentapi.ProtocolHeader, strconv.Itoa(agentapi.Protocol))
		next.ServeHTTP(w, r)
	})
}

// mine refuses callers that mean another job.
func (a *Agent) mine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if meant := r.Header.Get(agentapi.JobHeader); meant != a.config.Assignment.JobUID {
			refuse(w, r, failure.New(failure.Conflict, "this agent serves job uid %s, not %q", a.config.Assignment.JobUID, meant))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *Agent) putCommand(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
	if err != nil {
		refuse(w, r, failure.Wrap(failure.TooLarge, err, "the command can't be read or is over %d bytes", maxCommand))
		return
	}
	var command agentapi.Command
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&command); err != nil {
		refuse(w, r, unreadable(err))
		return
	}
	if command.ID == "" || command.ID != r.PathValue("id") {
		refuse(w, r, failure.New(failure.Invalid, "the command's id is %q, the path's %q", command.ID, r.PathValue("id")))
		return
	}
	status, err := a.commands.put(telemetry.Extract(r.Context(), r.Header), command)
	answer(w, r, status, err)
}

// unreadable tells a part that a newer worker sends, and that must not be left out
// in silence, from what is no command at all.
func unreadable(err error) error {
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return agentapi.Outdated("this agent (protocol %d) doesn't know the part %s of the command", agentapi.Protocol, field)
	}
	return failure.Wrap(failure.Invalid, err, "the command is not readable")
}

func (a *Agent) getCommand(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var wait time.Duration
	var version int64
	var err error
	if text := query.Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil {
			refuse(w, r, failure.Wrap(failure.Invalid, err, "wait is not a duration"))
			return
		}
	}
	if text := query.Get("version"); text != "" {
		if version, err = strconv.ParseInt(text, 10, 64); err != nil {
			refuse(w, r, failure.Wrap(failure.Invalid, err, "version is not a number"))
			return
		}
	}
	status, err := a.commands.get(r.Context(), r.PathValue("id"), version, min(max(wait, 0), maxWait))
	answer(w, r, status, err)
}

func (a *Agent) getState(w http.ResponseWriter, r *http.Request) {
	state, err := a.state(r.Context())
	answer(w, r, state, err)
}

func answer(w http.ResponseWriter, r *http.Request, body any, err error) {
	if err != nil {
		refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	_ = problem.Write(w, failure.Of(err), r.URL.Path)
}
