package agentapi

import (
	"strconv"
	"strings"

	"sluice/internal/failure"
)

// Protocol is the number of what worker and agent say to each other. It goes up by
// one with a release that adds a command or a field. A generation keeps the agent
// that it was made with for as long as its job runs, so a worker speaks with agents
// of the two numbers before its own too (docs/compatibility.md).
//
//	1  agents that don't say it
//	2  says it
const Protocol = 2

// oldestProtocol that a worker of ours speaks with.
const oldestProtocol = Protocol - 2

// ProtocolHeader is in each of an agent's answers, those that refuse too.
const ProtocolHeader = "Sluice-Agent-Protocol"

// protocolOf reads an answer's header; agents of before have none.
func protocolOf(header string) int {
	if n, err := strconv.Atoi(header); err == nil {
		return n
	}
	return 1
}

// checkProtocol refuses an agent that we can't speak with before anything of its
// answer is believed. A newer one is no failure of an operation: while workers are
// replaced some are older than the agents that the others have made, and one of
// those takes the same step.
func checkProtocol(header, agent string) error {
	switch n := protocolOf(header); {
	case n < oldestProtocol:
		return Outdated("the agent at %s speaks protocol %d; this worker speaks %d to %d", agent, n, oldestProtocol, Protocol)
	case n > Protocol:
		return failure.New(failure.Unavailable, "the agent at %s speaks protocol %d, this worker only up to %d", agent, n, Protocol).
			WithNext("bring the workers to the agent's release; they are tried again")
	}
	return nil
}

// Outdated is the failure of an agent that is too old for what is asked of it; what
// runs is not touched by its replacement.
func Outdated(format string, args ...any) *failure.Error {
	return failure.New(failure.Outdated, format, args...).
		WithNext("replace the agent alone, the job runs on: kubectl set image deployment/<job>-g<generation>-client client=<this release's agent image> (docs/compatibility.md)")
}

// unknownPart says whether an agent of before refused a command for a part of it
// that it doesn't know. It said so in words only.
func unknownPart(f *failure.Error, header string) bool {
	return f.Code == failure.Invalid && protocolOf(header) < Protocol &&
		(strings.HasPrefix(f.Message, "the command is not readable") || strings.HasPrefix(f.Message, "the agent has no command of kind"))
}
