package flink

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

// The ids that every user of Flink has seen: the first operator of a program,
// alone and with one chained to it; and that of the uid "count".
func TestIDsAreFlinks(t *testing.T) {
	show := func(id id) string { return hex.EncodeToString(id[:]) }
	require.Equal(t, "bc764cd8ddf7a0cff126f51c16239658", show(own(0, 0)))
	require.Equal(t, "cbc357ccb763df2852fee8c4fc7d55f2", show(own(0, 1)))
	require.Equal(t, "0a448493b4782967b150582570326227", show(fold(own(1, 0), own(0, 0))))
	require.Equal(t, "b71731f1c0df9c3076c4a455334d0ad6", show(murmur([]byte("count"))))
	require.Equal(t, own(7, 2), unfold(fold(own(7, 2), own(1, 0)), own(1, 0)))
}

// program is a made-up job graph: operators in the order in which Flink makes
// their ids.
type operator struct {
	uid     string
	inputs  []int
	chained bool // to its input, if it has one only
}

// hashes are the ids that StreamGraphHasherV2 makes.
func hashes(program []operator, chaining bool) []id {
	ids := make([]id, len(program))
	for i, o := range program {
		if o.uid != "" {
			ids[i] = murmur([]byte(o.uid))
			continue
		}
		chained := 0
		for _, other := range program {
			if chaining && other.chained && other.inputs[0] == i {
				chained++
			}
		}
		ids[i] = own(i, chained)
		for _, input := range o.inputs {
			ids[i] = fold(ids[i], ids[input])
		}
	}
	return ids
}

func text(id id) string { return hex.EncodeToString(id[:]) }

// plans are what /plan would answer, with and without chains.
func plans(program []operator) (chained, single []Node, want []id) {
	want = hashes(program, true)
	loose := hashes(program, false)
	for i, o := range program {
		node := Node{ID: text(loose[i]), Description: fmt.Sprintf("o%d<br/>", i), Parallelism: i + 1}
		for _, input := range o.inputs {
			node.Inputs = append(node.Inputs, Input{ID: text(loose[input])})
		}
		single = append(single, node)
		if !o.chained {
			chained = append(chained, Node{ID: text(want[i])})
		}
	}
	return chained, single, want
}

func TestOperatorsWithoutUIDsGetTheIDsTheyHaveInChains(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for round := range 3000 {
		var program []operator
		for i := range 1 + random.IntN(12) {
			o := operator{}
			if random.IntN(3) == 0 {
				o.uid = fmt.Sprintf("uid-%d", i)
			}
			for range min(i, 1+random.IntN(8)/7) {
				o.inputs = append(o.inputs, random.IntN(i))
			}
			o.chained = len(o.inputs) == 1 && random.IntN(2) == 0
			program = append(program, o)
		}
		chained, single, want := plans(program)
		if len(program) > 2 && round%2 == 0 { // Flink may list them otherwise
			for i := range single {
				if in := single[i].Inputs; len(in) == 2 {
					in[0], in[1] = in[1], in[0]
				}
			}
		}
		found, err := operators(chained, single)
		require.NoError(t, err, "%d: %+v", round, program)
		for i := range want {
			require.Equal(t, text(want[i]), found[i].ID, "%d: %+v", i, program)
			require.Equal(t, program[i].uid == "", found[i].Generated)
			require.Equal(t, i+1, found[i].Parallelism)
		}
	}
}

// What doesn't agree with the heads of the chains is not answered.
func TestOperatorsSaysWhenItCantTell(t *testing.T) {
	program := []operator{{}, {inputs: []int{0}, chained: true}, {inputs: []int{1}}}
	chained, single, _ := plans(program)
	_, err := operators(chained, single)
	require.NoError(t, err)
	other := text(murmur([]byte("another version of Flink makes ids otherwise")))
	for name, change := range map[string]func(chained, single []Node){
		"a head nobody has":  func(chained, _ []Node) { chained[1].ID = other },
		"an input nobody is": func(_, single []Node) { single[1].Inputs[0].ID = other },
		"no id":              func(_, single []Node) { single[1].ID = "x" },
		"no head's id":       func(chained, _ []Node) { chained[0].ID = "" },
	} {
		chained, single, _ := plans(program)
		change(chained, single)
		_, err := operators(chained, single)
		require.Equal(t, failure.Incompatible, failure.CodeOf(err), name)
	}
	still := []Node{{ID: other, Description: "a<br/>+- b<br/>"}}
	_, err = operators(still, still)
	require.ErrorContains(t, err, "keeps chaining on")
}

// What Flink itself says: /plan with and without chains, and the ids of all
// operators from the job graph's own list (JobVertex.getOperatorIDs), which REST
// doesn't give. The program has chains, branches, a union, two inputs and sinks.
func TestOperatorsAgainstFlinksJobGraphs(t *testing.T) {
	files, err := filepath.Glob("testdata/ids-*.json")
	require.NoError(t, err)
	require.Len(t, files, 4)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var flink struct {
			Chained, Single []Node
			IDs             []string
		}
		require.NoError(t, json.Unmarshal(data, &flink))
		found, err := operators(flink.Chained, flink.Single)
		require.NoError(t, err, file)
		ids := make([]string, len(found))
		generated := 0
		for i, o := range found {
			ids[i] = o.ID
			if o.Generated {
				generated++
			}
		}
		require.ElementsMatch(t, flink.IDs, ids, file)
		require.Greater(t, generated, len(ids)/2, file)
	}
}
