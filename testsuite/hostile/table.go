package hostile

import (
	"slices"

	"sluice/internal/failure"
)

// Table is every row.
func Table() []Request {
	return slices.Concat(addresses(), methods(), callers(), headers(), documents(), specs(), profiles(), operations(), uploads())
}

// Where the rows go.
const (
	tenant     = "/v1/tenants/{tenant}"
	jobs       = tenant + "/jobs"
	known      = jobs + "/{job}"
	unknown    = jobs + "/hostile-new" // nobody makes it
	artifacts  = tenant + "/artifacts"
	started    = known + "/operations"
	operation  = tenant + "/operations/{operation}"
	newProfile = tenant + "/profiles/hostile"
)

// get is a read that is refused as invalid.
func get(name, path, field string) Request {
	return Request{Name: name, Method: "GET", Path: path, Code: "invalid", Field: field}
}

// put declares a job with a body that is refused as invalid.
func put(name, body, field string) Request {
	return Request{Name: name, Method: "PUT", Path: unknown, Body: body, Code: "invalid", Field: field}
}

// post asks for an operation that is refused as invalid, by its form alone.
func post(name, body, field string) Request {
	return Request{Name: name, Method: "POST", Path: started, Body: body, Code: "invalid", Field: field}
}

// by changes who sends it.
func (r Request) by(who Caller) Request {
	r.As = who
	return r
}

// refused changes what comes.
func (r Request) refused(code failure.Code, says string) Request {
	r.Code, r.Field, r.Says = code, "", says
	return r
}

// with sets headers.
func (r Request) with(header ...string) Request {
	r.Header = slices.Clone(r.Header)
	for i := 0; i+1 < len(header); i += 2 {
		if at := slices.Index(r.Header, header[i]); at >= 0 && at%2 == 0 {
			r.Header[at+1] = header[i+1]
		} else {
			r.Header = append(r.Header, header[i], header[i+1])
		}
	}
	return r
}

func (r Request) saying(text string) Request {
	r.Says = text
	return r
}

func (r Request) deep() Request {
	r.Deep = true
	return r
}
