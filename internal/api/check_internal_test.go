package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
	"pgregory.net/rapid"
)

// described returns the operations with a body by their ids.
func described(t *testing.T) (*server, map[string]*huma.Operation) {
	t.Helper()
	s := newServer(Options{})
	s.registerMessages()
	s.registerSettings()
	s.registerSuppressions()
	s.registerWebhooks()
	s.registerOperators()
	s.registerCredentials()
	out := map[string]*huma.Operation{}
	for _, item := range s.api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Post, item.Put, item.Patch} {
			if op != nil && op.RequestBody != nil && op.RequestBody.Content[mediaJSON] != nil {
				out[op.OperationID] = op
			}
		}
	}
	return s, out
}

// TestTheCheckerFindsWhatHumaFinds compares both on bodies that are nearly right.
func TestTheCheckerFindsWhatHumaFinds(t *testing.T) {
	s, operations := described(t)
	if len(operations) != 11 {
		t.Errorf("operations with a body: %v", slices.Sorted(maps.Keys(operations)))
	}
	for id, op := range operations {
		t.Run(id, func(t *testing.T) {
			right, wrong := 0, 0
			rapid.Check(t, func(rt *rapid.T) {
				g := generator{rt, s.api.OpenAPI().Components.Schemas, rapid.IntRange(0, 3).Draw(rt, "mistakes")}
				body, err := json.Marshal(g.value(bodySchema(op)))
				if err != nil {
					rt.Fatal(err)
				}
				var parsed any
				if err := json.Unmarshal(body, &parsed); err != nil {
					rt.Fatal(err)
				}
				path, want := huma.NewPathBuffer(nil, 0), &huma.ValidateResult{}
				path.Push("body")
				huma.Validate(g.schemas, bodySchema(op), path, huma.ModeWriteToServer, parsed, want)
				c := checker{schemas: g.schemas, data: body}
				c.enter("body")
				c.value(bodySchema(op), false)
				if rest := c.next(); rest != 0 && c.total < maxChecks {
					rt.Fatalf("%s: stopped before %q", body, rest)
				}
				if (c.total == 0) != (len(want.Errors) == 0) {
					rt.Fatalf("%s: found %v, huma %v", body, c.found, want.Errors)
				}
				if c.total == 0 {
					right++
					return
				}
				wrong++
				var theirs []problemField
				for _, err := range want.Errors {
					d := err.(huma.ErrorDetailer).ErrorDetail()
					if d.Message == validation.MsgExpectedMatchExactlyOneSchema {
						return // we say what is wrong within
					}
					theirs = append(theirs, problemField{d.Location, d.Message})
				}
				for _, f := range c.found {
					if !slices.Contains(theirs, f) {
						rt.Fatalf("%s: found %v, huma %v", body, f, theirs)
					}
				}
			})
			if right == 0 || wrong == 0 {
				t.Errorf("%d were right and %d wrong, want some of both", right, wrong)
			}
		})
	}
}

// generator makes values of a schema, with a number of mistakes.
type generator struct {
	rt       *rapid.T
	schemas  huma.Registry
	mistakes int
}

func (g *generator) mistake(name string) bool {
	if g.mistakes == 0 || rapid.IntRange(0, 5).Draw(g.rt, name) > 0 {
		return false
	}
	g.mistakes--
	return true
}

func (g *generator) value(s *huma.Schema) any {
	s = resolved(g.schemas, s)
	if g.mistake("other type") {
		return rapid.SampledFrom([]any{nil, true, 1.5, "x", []any{}, map[string]any{}, []any{nil}, map[string]any{"": 1}}).Draw(g.rt, "value")
	}
	if len(s.OneOf) > 0 {
		return g.value(rapid.SampledFrom(s.OneOf).Draw(g.rt, "one of"))
	}
	switch s.Type {
	case huma.TypeObject:
		return g.object(s)
	case huma.TypeArray:
		n := rapid.IntRange(0, 3).Draw(g.rt, "items")
		if s.MaxItems != nil && *s.MaxItems <= 100 && g.mistake("long list") {
			n = *s.MaxItems + 1
		}
		out := []any{}
		for range n {
			out = append(out, g.value(s.Items))
		}
		return out
	case huma.TypeString:
		return g.text(s)
	case huma.TypeInteger:
		return rapid.SampledFrom([]any{587, -1, 0}).Draw(g.rt, "integer")
	case huma.TypeBoolean:
		return rapid.Bool().Draw(g.rt, "boolean")
	}
	g.rt.Fatalf("no value of type %q", s.Type)
	return nil
}

func (g *generator) object(s *huma.Schema) any {
	out := map[string]any{}
	if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
		n := rapid.IntRange(0, 3).Draw(g.rt, "values")
		if g.mistake("many values") {
			n = *s.MaxProperties + 1
		}
		for i := range n {
			out[fmt.Sprint("X-", i)] = g.value(values)
		}
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if required := slices.Contains(s.Required, name); required && g.mistake("missing") || !required && rapid.Bool().Draw(g.rt, "left out") {
			continue
		}
		value := g.value(s.Properties[name])
		if rapid.IntRange(0, 9).Draw(g.rt, "in capitals") == 0 {
			name = strings.ToUpper(name)
		}
		out[name] = value
	}
	if g.mistake("unknown name") {
		out[rapid.SampledFrom([]string{"", "x", "Übermaß", "\"", strings.Repeat("y", 150)}).Draw(g.rt, "name")] = 1
	}
	return out
}

func (g *generator) text(s *huma.Schema) any {
	switch {
	case g.mistake("long text"):
		return strings.Repeat("ü\n", 2000)
	case len(s.Enum) > 0:
		return rapid.SampledFrom(s.Enum).Draw(g.rt, "choice")
	case s.Format == formatTime:
		return "2030-01-01T00:00:00.5+02:00"
	case s.MaxLength != nil && *s.MaxLength < 1000 && rapid.Bool().Draw(g.rt, "as long as may be"):
		return strings.Repeat(rapid.SampledFrom([]string{"x", "ü", "\n", "\u2028", "😀"}).Draw(g.rt, "character"), *s.MaxLength)
	}
	return rapid.SampledFrom([]string{"a", "a@b.c", "{[,\":\\"}).Draw(g.rt, "text")
}
