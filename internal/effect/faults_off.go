//go:build !faults

package effect

import "context"

func before(context.Context, Name, string) error { return nil }
func after(context.Context, Name, string) error  { return nil }
