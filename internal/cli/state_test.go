package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/apiclient"
)

func TestPrintState(t *testing.T) {
	operator := apiclient.StateOperator{ID: "b71731f1c0df9c3076c4a455334d0ad6", UID: "cou\x1b[2Jnt", Parallelism: 200, MaxParallelism: 128, Bytes: 2048}
	one := apiclient.OperatorList{Total: 1, Operators: []apiclient.StateOperator{operator}}
	var out strings.Builder
	printState(&out, apiclient.StateComparison{
		Kept: one, Lost: apiclient.OperatorList{Total: 3, Operators: one.Operators}, TooWide: one, Unknown: "not compared",
		New: apiclient.OperatorList{Total: 1, Operators: []apiclient.StateOperator{{ID: "x", Name: "count"}}},
	})
	require.Equal(t, `  state      lost: -, uid cou�[2Jnt, id b71731f1c0df9c3076c4a455334d0ad6, 2.0 KiB
  state      lost: 2 more
  state      too wide: -, uid cou�[2Jnt, id b71731f1c0df9c3076c4a455334d0ad6, 2.0 KiB, parallelism 200 of at most 128
  state      starts empty: count, id x
  state      not compared
`, out.String())
	out.Reset()
	printState(&out, apiclient.StateComparison{Kept: one})
	require.Empty(t, out.String(), "what goes on as it was is no news")
}
