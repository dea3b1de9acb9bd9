// Package version says what was built. Release builds set both by
// -ldflags "-X sluice/internal/version.Version=… -X sluice/internal/version.Commit=…";
// others take what the Go tool noted.
package version

import "runtime/debug"

// Version and Commit of this build.
var (
	Version = ""
	Commit  = ""
)

func init() {
	info, ok := debug.ReadBuildInfo()
	if Version == "" {
		Version = "devel"
		if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			Version = info.Main.Version
		}
	}
	if Commit != "" || !ok {
		return
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			Commit = setting.Value
		}
	}
}
