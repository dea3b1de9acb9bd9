package job

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCanRead(t *testing.T) {
	for _, c := range []struct {
		reader, writer string
		can            bool
	}{
		{"1.20.5", "1.20.5", true},
		{"1.20.3", "1.20.5", true}, // a patch changes no format
		{"2.3.0", "1.20.5", true},
		{"2.3.0", "2.1.3", true},
		{"2.10.0", "2.3.0", true}, // by number, not by letter
		{"1.20.5", "2.3.0", false},
		{"2.1.3", "2.3.0", false},
		{"1.20.5", "1.100", false},
		{"2", "2.0.2", true},
		{"2.3-rc1", "2.3.0", true},
	} {
		require.Equal(t, c.can, Engine{"flink", c.reader}.CanRead(Engine{"flink", c.writer}), "%s reads %s", c.reader, c.writer)
	}
	require.False(t, Engine{"flink", "2.3.0"}.CanRead(Engine{"spark", "1.0"}))
}

func TestCanReadFormat(t *testing.T) {
	for version, newest := range map[string]int32{"1.20.5": 4, "2.3.0": 6} {
		for format := int32(2); format <= 6; format++ {
			require.Equal(t, format <= newest, Engine{"flink", version}.CanReadFormat(format), "%s reads %d", version, format)
		}
	}
}
