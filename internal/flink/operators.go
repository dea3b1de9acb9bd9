package flink

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"sluice/internal/failure"
)

// Operator is one operator of a job graph, by the id under which a snapshot
// keeps its state.
type Operator struct {
	ID          string
	Description string
	Parallelism int
	Generated   bool // no uid: its id is made of the graph's shape
}

// Operators lists every operator of the job graph that chained is the plan of. A
// vertex's id is its chain's head's; with chaining off each operator is a vertex.
// That changes the ids of operators without a uid: theirs are computed, and the
// heads in chained prove that it was done as Flink does. Incompatible when they
// don't: then the ids of this program can't be told.
func (c *Client) Operators(ctx context.Context, jar string, program Program, chained []Node) ([]Operator, error) {
	options := maps.Clone(program.Options)
	if options == nil {
		options = map[string]string{}
	}
	options["pipeline.operator-chaining.enabled"] = "false"
	options["pipeline.operator-chaining"] = "false" // before 1.19
	program.Options = options
	single, err := c.Plan(ctx, jar, program)
	if err != nil {
		return nil, err
	}
	return operators(chained, single)
}

var errIDs = failure.New(failure.Incompatible, "the ids of the operators can't be told: the program has operators without a uid").
	WithNext("give every operator with state a uid")

// id is an operator's: 16 bytes.
type id [16]byte

func parseID(text string) (id, bool) {
	var parsed id
	n, err := hex.Decode(parsed[:], []byte(text[:min(len(text), 32)]))
	return parsed, err == nil && n == len(parsed) && len(text) == 32
}

// operators gives each vertex of the plan without chains (single) the id that it
// has with chains.
func operators(chained, single []Node) ([]Operator, error) {
	g := graph{heads: map[id]bool{}, at: map[string]int{}}
	for _, node := range chained {
		head, ok := parseID(node.ID)
		if !ok {
			return nil, errIDs
		}
		g.heads[head] = true
	}
	for i, node := range single {
		if strings.Contains(node.Description, "<br/>+- ") && len(chained) == len(single) {
			return nil, failure.New(failure.Incompatible, "the program keeps chaining on: its operators can't be listed")
		}
		parsed, ok := parseID(node.ID)
		if !ok {
			return nil, errIDs
		}
		g.at[node.ID] = i
		g.vertices = append(g.vertices, vertex{id: parsed})
	}
	if !g.connect(single) || !g.resolve() {
		return nil, errIDs
	}
	all := make([]Operator, len(single))
	seen := map[id]bool{}
	for i, node := range single {
		v := g.vertices[i]
		seen[v.id] = true
		all[i] = Operator{ID: hex.EncodeToString(v.id[:]), Description: node.Description, Parallelism: node.Parallelism, Generated: v.generated}
	}
	for head := range g.heads {
		if !seen[head] {
			return nil, errIDs
		}
	}
	return all, nil
}

// graph is a job graph whose vertices are single operators.
type graph struct {
	heads    map[id]bool
	at       map[string]int
	vertices []vertex
}

type vertex struct {
	id        id // with chains; until resolve came by, without
	inputs    []int
	outputs   []int // as many as edges
	generated bool
	position  int // of a generated id: the number of ids made before it
	resolved  bool
}

// connect finds the edges, and which ids were generated.
func (g *graph) connect(single []Node) bool {
	for i, node := range single {
		for _, input := range node.Inputs {
			from, known := g.at[input.ID]
			if !known {
				return false
			}
			g.vertices[i].inputs = append(g.vertices[i].inputs, from)
			g.vertices[from].outputs = append(g.vertices[from].outputs, i)
		}
	}
	positions := map[id]int{}
	for i := range single {
		positions[own(i, 0)] = i
	}
	for i := range g.vertices {
		v := &g.vertices[i]
		for range 2 { // the plan may list two inputs in the other order
			base := v.id
			for j := len(v.inputs) - 1; j >= 0; j-- {
				base = unfold(base, g.vertices[v.inputs[j]].id)
			}
			if v.position, v.generated = positions[base]; v.generated {
				break
			}
			slices.Reverse(v.inputs)
		}
		v.resolved = !v.generated
	}
	return true
}

// resolve gives the generated ids, inputs first.
func (g *graph) resolve() bool {
	for progress := true; progress; {
		progress = false
		for i := range g.vertices {
			v := &g.vertices[i]
			if v.resolved || !g.ready(v.inputs) {
				continue
			}
			made, ok := g.withChains(v)
			if !ok {
				return false
			}
			v.id, v.resolved, progress = made, true, true
		}
	}
	for _, v := range g.vertices {
		if !v.resolved {
			return false
		}
	}
	return true
}

func (g *graph) ready(inputs []int) bool {
	for _, input := range inputs {
		if !g.vertices[input].resolved {
			return false
		}
	}
	return true
}

// withChains is the id of v where n of its outputs are chained to it. The heads
// show which n: those outputs that are chained are none. An output without a uid
// whose id, made of v's, is a head's proves it.
func (g *graph) withChains(v *vertex) (id, bool) {
	var possible []id
	for n := range len(v.outputs) + 1 {
		made := own(v.position, n)
		for _, input := range v.inputs {
			made = fold(made, g.vertices[input].id)
		}
		chained, proven := g.chainedTo(v, made)
		if g.heads[made] || proven {
			return made, true
		}
		if chained == n {
			possible = append(possible, made)
		}
	}
	if len(possible) != 1 {
		return id{}, false
	}
	return possible[0], true
}

// chainedTo counts the outputs of v that are no heads if v has the id made.
func (g *graph) chainedTo(v *vertex, made id) (chained int, proven bool) {
	for _, output := range v.outputs {
		o := &g.vertices[output]
		switch {
		case len(o.inputs) > 1: // never chained to its inputs
		case o.generated && g.makesHead(o, made):
			proven = true
		case o.generated || !g.heads[o.id]:
			chained++
		}
	}
	return chained, proven
}

// makesHead says whether an input of the id made gives o a head's id.
func (g *graph) makesHead(o *vertex, made id) bool {
	for n := range len(o.outputs) + 1 {
		if g.heads[fold(own(o.position, n), made)] {
			return true
		}
	}
	return false
}

// own is a generated id before its inputs are folded in (StreamGraphHasherV2,
// the same in 1.20.5 and 2.3.0): the position, once more for each chained output.
func own(position, chained int) id {
	var data []byte
	for range chained + 1 {
		data = binary.LittleEndian.AppendUint32(data, uint32(position))
	}
	return murmur(data)
}

func fold(into, input id) id {
	for i := range into {
		into[i] = into[i]*37 ^ input[i]
	}
	return into
}

// unfold is fold's inverse: 37 × 173 ≡ 1 (mod 256).
func unfold(from, input id) id {
	for i := range from {
		from[i] = (from[i] ^ input[i]) * 173
	}
	return from
}
