package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/workflows/upgrade"
)

// Who says that a machine is off answers for it: an admin, who says how they know.
func TestOnlyAnAdminWithAReasonDeclaresDead(t *testing.T) {
	require.NoError(t, mayChoose(operator, upgrade.OptionGiveUp, ""))
	require.Equal(t, failure.Forbidden, failure.CodeOf(mayChoose(operator, upgrade.OptionDeclareDead, "I saw it")))
	require.Equal(t, failure.Invalid, failure.CodeOf(mayChoose(admin, upgrade.OptionDeclareDead, " ")))
	require.NoError(t, mayChoose(admin, upgrade.OptionDeclareDead, "rack 4 burnt"))
}
