package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"sluice/internal/failure"
)

// The library keeps its decoders in one table for the process.
func init() { openapi3filter.RegisterBodyDecoder("application/json", strictJSON) }

// strictJSON refuses what encoding/json lets pass: a key given twice, of which
// the last would count, and anything behind the document. Two readers of such a
// body, a proxy and we, could see different requests.
func strictJSON(body io.Reader, header http.Header, schema *openapi3.SchemaRef, encoding openapi3filter.EncodingFn) (any, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(data) { // encoding/json would put another character in its place
		return nil, malformed(failure.Field{Name: inBody(""), Reason: "is not UTF-8"})
	}
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		return nil, malformed(failure.Field{Name: inBody(""), Reason: "is not one JSON document: " + short(err.Error())})
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // else a number over a float64's range ends the walk
	if twice := repeated(decoder, ""); len(twice) > 0 {
		return nil, malformed(twice...)
	}
	return openapi3filter.JSONBodyDecoder(bytes.NewReader(data), header, schema, encoding)
}

// repeated lists the keys given twice within the next value, which is known to be
// valid and so not too deep. at is the value's JSON pointer.
func repeated(decoder *json.Decoder, at string) (twice []failure.Field) {
	token, _ := decoder.Token()
	switch token {
	case json.Delim('{'):
		seen := map[json.Token]bool{}
		for decoder.More() {
			key, _ := decoder.Token()
			name := at + "/" + key.(string)
			if seen[key] {
				twice = append(twice, failure.Field{Name: name, Reason: "is given more than once"})
			}
			seen[key] = true
			twice = append(twice, repeated(decoder, name)...)
		}
	case json.Delim('['):
		for i := 0; decoder.More(); i++ {
			twice = append(twice, repeated(decoder, at+"/"+itoa(i))...)
		}
	default:
		return nil
	}
	_, _ = decoder.Token() // the closing one
	return twice
}
