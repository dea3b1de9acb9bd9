// Package activities is the contract between flows and the effects that they
// call: each activity is one typed Def with its name, input, output and class
// of work. It is a leaf: flows import it and so do the implementations
// (activities/kube, agent, hdfs, record), which never import each other.
package activities

import (
	"context"

	"go.temporal.io/sdk/activity"
)

// Class says what kind of work an activity is; workflows/internal/flow turns
// it into time-outs and retries.
type Class int

// The classes.
const (
	Quick  Class = iota // one bounded call: seconds
	Effect              // a call with an effect and an id: seconds to a minute, retried for long
	Await               // waits for something outside, heartbeats its progress: minutes, watched for standstill
)

// Def is an activity's name and types. Name is what Temporal shows.
type Def[In, Out any] struct {
	Name  string
	Class Class
}

// None is the output of activities that have none.
type None struct{}

// Registry is the part of a worker that Register needs.
type Registry interface {
	RegisterActivityWithOptions(function any, options activity.RegisterOptions)
}

// Register ties an implementation to its Def's name: the compiler checks the types.
func Register[In, Out any](registry Registry, def Def[In, Out], implementation func(context.Context, In) (Out, error)) {
	registry.RegisterActivityWithOptions(implementation, activity.RegisterOptions{Name: def.Name})
}
