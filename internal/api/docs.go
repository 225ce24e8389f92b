package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html docs.css
var pageFiles embed.FS

// docsPage writes the description for people: one page without scripts that loads
// nothing, and the policy that goes with it.
func docsPage(doc *huma.OpenAPI) (page []byte, policy string) {
	style, err := pageFiles.ReadFile("docs.css")
	if err != nil {
		panic(fmt.Sprintf("api: docs page: %v", err))
	}
	hash := sha256.Sum256(style)
	t := template.Must(template.New("docs.html").Funcs(template.FuncMap{"prose": prose}).ParseFS(pageFiles, "docs.html"))
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		Title, Description string
		Style              template.CSS
		Groups             []docsGroup
	}{doc.Info.Title, doc.Info.Description, template.CSS(style), docsGroups(doc)}) //nolint:gosec // our own file
	if err != nil {
		panic(fmt.Sprintf("api: docs page: %v", err))
	}
	return out.Bytes(), "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
}

// prose makes HTML of the little Markdown that descriptions use: paragraphs and code.
func prose(text string) template.HTML {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		b.WriteString("<p>")
		for i, part := range strings.Split(paragraph, "`") {
			part = template.HTMLEscapeString(part)
			if i%2 == 1 {
				part = "<code>" + part + "</code>"
			}
			b.WriteString(part)
		}
		b.WriteString("</p>")
	}
	return template.HTML(b.String()) //nolint:gosec // every part was escaped
}

type docsGroup struct {
	Name, Description string
	Operations        []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Description string
	Parameters                             []docsField
	Request                                []docsField
	Answers                                []docsAnswer
}

type docsAnswer struct {
	Status, MediaType string
	Fields            []docsField
}

type docsField struct {
	Name, Type, Description string
	Required                bool
}

func docsGroups(doc *huma.OpenAPI) []docsGroup {
	var groups []docsGroup
	for _, tag := range doc.Tags {
		groups = append(groups, docsGroup{Name: tag.Name, Description: tag.Description})
	}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		item := doc.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			i := slices.IndexFunc(groups, func(g docsGroup) bool { return g.Name == op.Tags[0] })
			groups[i].Operations = append(groups[i].Operations, docsOf(doc, op))
		}
	}
	return groups
}

func docsOf(doc *huma.OpenAPI, op *huma.Operation) docsOperation {
	schemas := doc.Components.Schemas
	out := docsOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description}
	for _, p := range op.Parameters {
		out.Parameters = append(out.Parameters, docsField{
			Name: p.Name, Type: p.In + ", " + typeName(schemas, p.Schema), Description: p.Description, Required: p.Required,
		})
	}
	if op.RequestBody != nil {
		for _, media := range op.RequestBody.Content {
			out.Request = fields(schemas, media.Schema, "", 0)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if status == "default" {
			continue // problems are the same everywhere
		}
		a := docsAnswer{Status: status}
		for name, media := range op.Responses[status].Content {
			a.MediaType, a.Fields = name, fields(schemas, media.Schema, "", 0)
		}
		out.Answers = append(out.Answers, a)
	}
	return out
}

// fields lists what an object has, and what the objects in it have.
func fields(schemas huma.Registry, s *huma.Schema, prefix string, depth int) []docsField {
	const deepest = 5
	s = resolved(schemas, s)
	if s == nil || depth > deepest {
		return nil
	}
	if s.Type == huma.TypeArray {
		return fields(schemas, s.Items, prefix+"[]", depth+1)
	}
	var out []docsField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		full := name
		if prefix != "" {
			full = prefix + "." + name
		}
		out = append(out, docsField{
			Name: full, Type: typeName(schemas, property), Description: property.Description, Required: slices.Contains(s.Required, name),
		})
		out = append(out, fields(schemas, property, full, depth+1)...)
	}
	return out
}

func resolved(schemas huma.Registry, s *huma.Schema) *huma.Schema {
	for s != nil && s.Ref != "" {
		s = schemas.SchemaFromRef(s.Ref)
	}
	return s
}

func typeName(schemas huma.Registry, s *huma.Schema) string {
	s = resolved(schemas, s)
	switch {
	case s == nil:
		return "anything"
	case len(s.Enum) > 0:
		return strings.Join(enumNames(s.Enum), " | ")
	case len(s.OneOf) > 0:
		var names []string
		for _, one := range s.OneOf {
			names = append(names, typeName(schemas, one))
		}
		return strings.Join(names, " or ")
	case s.Type == huma.TypeArray:
		return "list of " + typeName(schemas, s.Items)
	case s.Type == huma.TypeObject && s.AdditionalProperties != nil && len(s.Properties) == 0:
		return "object of names and values"
	case s.Format == "date-time":
		return "time"
	default:
		return s.Type
	}
}

func enumNames(values []any) (names []string) {
	for _, v := range values {
		names = append(names, fmt.Sprint(v))
	}
	return names
}
