package agentapi

import "strings"

// Operator is one operator of the new job graph, by the id under which a
// snapshot keeps its state.
type Operator struct {
	ID          string `json:"id"`
	Name        string `json:"name,omitempty"`
	Parallelism int    `json:"p"`
	Generated   bool   `json:"generated,omitempty"` // it has no uid: its id follows from the graph's shape
}

// Limits of a list of operators in a payload, which keep it below 200 KB: names
// are cut, and left out of a list longer than MaxNamedOperators.
const (
	MaxOperators      = 1500
	MaxNamedOperators = 500
	MaxOperatorName   = 80 // bytes
)

// OperatorName cuts a name to what a list takes.
func OperatorName(name string) string {
	if len(name) > MaxOperatorName {
		name = strings.ToValidUTF8(name[:MaxOperatorName], "") + "…"
	}
	return name
}
