package hostile

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Generator makes requests of an OpenAPI document: some as it says, some nearly so.
// The same seed gives the same requests.
type Generator struct {
	random     *rand.Rand
	operations []described
	words      map[string][]string
}

// described is one operation of the document.
type described struct {
	path, method string
	item         *openapi3.PathItem
	operation    *openapi3.Operation
}

// Generated is one request, and what the document says of it.
type Generated struct {
	described
	As     Caller
	URL    string // path and query
	Header http.Header
	Body   []byte
}

// NoPlan is a digest that no plan has: an operation that is bound to it ends before
// any effect.
var NoPlan = "sha256:" + strings.Repeat("0", 64)

// NewGenerator makes one. words are what there is: values for names of parameters
// and properties ("job", "artifact", …).
func NewGenerator(document *openapi3.T, seed uint64, words map[string][]string) *Generator {
	g := &Generator{random: rand.New(rand.NewPCG(seed, 0)), words: words}
	for _, path := range document.Paths.InMatchingOrder() {
		item := document.Paths.Value(path)
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut} {
			if operation := item.GetOperation(method); operation != nil {
				g.operations = append(g.operations, described{path, method, item, operation})
			}
		}
	}
	return g
}

// Next makes a request.
func (g *Generator) Next() Generated {
	d := g.operations[g.random.IntN(len(g.operations))]
	out := Generated{described: d, As: pick(g, Operator, Operator, Admin, Admin, Admin, Viewer, Stranger), Header: http.Header{}}
	address, query := d.path, url.Values{}
	for _, reference := range slices.Concat(d.item.Parameters, d.operation.Parameters) {
		p := reference.Value
		if p.In != openapi3.ParameterInPath && g.chance(60) {
			continue
		}
		value := g.text(p.Name, p.Schema.Value)
		switch p.In {
		case openapi3.ParameterInPath:
			address = strings.Replace(address, "{"+p.Name+"}", url.PathEscape(value), 1)
		case openapi3.ParameterInQuery:
			query.Add(p.Name, value)
		case openapi3.ParameterInHeader:
			out.Header.Set(p.Name, printable(value))
		}
	}
	if out.URL = address; len(query) > 0 {
		out.URL += "?" + query.Encode()
	}
	g.body(&out)
	return out
}

func (g *Generator) body(out *Generated) {
	if out.operation.RequestBody == nil {
		return
	}
	content := out.operation.RequestBody.Value.Content
	media := content.Get("application/json")
	if media == nil || media.Schema.Value.Format == "binary" {
		out.Header.Set("Content-Type", pick(g, "application/java-archive", "application/octet-stream", "text/html"))
		out.Body = []byte(pick(g, jar(manifest, "A.class"), jar("A.class"), "PK\x03\x04", "", strange[g.random.IntN(len(strange))]))
		return
	}
	out.Header.Set("Content-Type", pick(g, "application/json", "application/json", "application/json", "application/json; charset=utf-8", "text/json"))
	value := g.value("", media.Schema.Value, 0)
	for range g.random.IntN(3) {
		value = g.bend(value)
	}
	if fields, ok := value.(map[string]any); ok && out.operation.OperationID == "startOperation" {
		fields["planDigest"] = NoPlan
	}
	out.Body, _ = json.Marshal(value)
	if g.chance(15) {
		out.Body = g.tear(out.Body)
	}
}

// strange are texts that somebody's code took badly once.
var strange = []string{
	"", " ", "..", "../../etc/passwd", "%2e%2e", "a/b", `a\b`, "\x00", "a\nb", "\u202e", "\ufeff", "'; DROP TABLE jobs--", "${jndi:ldap://x}", "{{7*7}}",
	"-1", "0", "1e999", "NaN", "null", "true", "99999999999999999999", "9223372036854775807", "1.5", "0x10", strings.Repeat("a", 31), strings.Repeat("a", 5000), "ünïcödé", "\U0001F4A3", "*",
}

// text is a parameter's value.
func (g *Generator) text(name string, schema *openapi3.Schema) string {
	switch {
	case len(g.words[name]) > 0 && g.chance(75):
		return g.words[name][g.random.IntN(len(g.words[name]))]
	case schema.Type.Is("integer") && g.chance(70):
		return strconv.Itoa(g.random.IntN(600) - 20)
	}
	return strange[g.random.IntN(len(strange))]
}

// value is one as the schema says; name is the property's.
func (g *Generator) value(name string, schema *openapi3.Schema, depth int) any {
	switch {
	case schema.Type.Is("object"):
		return g.object(schema, depth)
	case schema.Type.Is("array"):
		list := make([]any, g.random.IntN(4))
		for i := range list {
			list[i] = g.value(name, schema.Items.Value, depth+1)
		}
		return list
	case schema.Type.Is("integer"):
		return pick(g, 1, 1, 2, 2, 4, 1024, 1728, 0, -1, g.random.IntN(1<<30))
	case schema.Type.Is("boolean"):
		return g.chance(50)
	}
	if known := g.words[name]; len(known) > 0 && g.chance(85) {
		return known[g.random.IntN(len(known))]
	}
	return pick(g, "x", "orders", strange[g.random.IntN(len(strange))])
}

func (g *Generator) object(schema *openapi3.Schema, depth int) any {
	fields := map[string]any{}
	names := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		names = append(names, name)
	}
	slices.Sort(names) // a map's order would not repeat
	for _, name := range names {
		if slices.Contains(schema.Required, name) || depth < 4 && g.chance(30) {
			fields[name] = g.value(name, schema.Properties[name].Value, depth+1)
		}
	}
	if more := schema.AdditionalProperties.Schema; more != nil {
		for range g.random.IntN(3) {
			fields[g.text("option", more.Value)] = g.value("value", more.Value, depth+1)
		}
	}
	return fields
}

// bend changes one thing in a document so that it is, mostly, none any more.
func (g *Generator) bend(value any) any {
	switch v := value.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		if len(names) == 0 || g.chance(10) {
			v[strange[g.random.IntN(len(strange))]] = 1
			return v
		}
		slices.Sort(names)
		name := names[g.random.IntN(len(names))]
		if g.chance(15) {
			delete(v, name)
		} else {
			v[name] = g.bend(v[name])
		}
		return v
	case []any:
		if len(v) > 0 && g.chance(60) {
			v[0] = g.bend(v[0])
			return v
		}
	}
	return pick[any](g, nil, 7, -1, 1.5, 1e300, true, []any{}, []any{[]any{1}}, map[string]any{}, map[string]any{"a": 1}, strange[g.random.IntN(len(strange))])
}

// tear breaks the bytes of a document.
func (g *Generator) tear(body []byte) []byte {
	if len(body) == 0 {
		return body
	}
	at := g.random.IntN(len(body))
	switch g.random.IntN(4) {
	case 0:
		return body[:at]
	case 1:
		return slices.Insert(bytes.Clone(body), at, byte(g.random.IntN(256)))
	case 2:
		return append(bytes.Clone(body), body[at:]...)
	}
	body = bytes.Clone(body)
	body[at] = byte(g.random.IntN(256))
	return body
}

func (g *Generator) chance(percent int) bool { return g.random.IntN(100) < percent }

func pick[T any](g *Generator, from ...T) T { return from[g.random.IntN(len(from))] }

// printable is what an HTTP client lets through as a header.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '_'
		}
		return r
	}, text)
}
