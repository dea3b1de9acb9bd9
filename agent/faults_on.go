//go:build faults

package agent

import (
	"net/http"

	"sluice/internal/effect"
)

// addFaults lets tests arm faults at the door of the effects; behind the
// handshake as everything else.
func addFaults(mux *http.ServeMux) { mux.Handle("PUT /faults", effect.Handler()) }
