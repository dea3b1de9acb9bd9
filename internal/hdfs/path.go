package hdfs

import (
	"net/url"
	"path"
	"strings"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// Path takes "hdfs://host:port/a/b" or "/a/b" and returns "/a/b". Only clean
// paths below the platform's root pass: no "..", no "%", no control characters.
func Path(location string) (string, error) {
	name := location
	if rest, ok := strings.CutPrefix(location, "hdfs://"); ok {
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return "", failure.New(failure.Invalid, "%q names no path", location)
		}
		name = rest[slash:]
	} else if u, err := url.Parse(location); err == nil && u.Scheme == "file" {
		return "", failure.New(failure.Invalid, "%q is not on HDFS", location)
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || r == '%' || r == '\\' {
			return "", failure.New(failure.Invalid, "the path %q has a character that is not allowed", location)
		}
	}
	name = strings.TrimRight(name, "/")
	if path.Clean(name) != name || !strings.HasPrefix(name, job.Root+"/") {
		return "", failure.New(failure.Invalid, "the path %q is not a clean path below %s", location, job.Root)
	}
	return name, nil
}

// authority is the "hdfs://host:port" of a location, "" of a plain path.
func authority(location string) string {
	rest, ok := strings.CutPrefix(location, "hdfs://")
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return "hdfs://" + host
}
