package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/yaml"
)

const schemaPrefix = "#/components/schemas/"

const description = "Hand over mail, and find out what became of it.\n\n" +
	"Every request carries an API key: `Authorization: Bearer KEY`. A key of an operator works for that operator. " +
	"A key of the platform names the operator in the header `X-Waypost-Operator`.\n\n" +
	"Times are RFC 3339 in UTC with milliseconds. Lists answer `items` and `next`: pass `next` as `cursor` to go on. " +
	"Errors are `application/problem+json` (RFC 9457); `code` is for programs. Fields that a request does not have are refused, and those that come twice. " +
	"With status 429, 503 and 507 the same request succeeds later; `Retry-After` says when to try."

func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: "Messages", Description: "Hand over mail and follow it."},
		{Name: "Deliveries", Description: "Change what happens to one recipient of a message."},
		{Name: "Sandbox", Description: "Mail that went nowhere on purpose: from test keys, and from the built-in gateway of a platform without a domain."},
		{Name: "Settings", Description: "How an operator's mail leaves."},
		{Name: "Domains and senders", Description: "From which addresses mail may leave on the built-in gateway, and the DNS records that takes."},
		{Name: "Suppressions", Description: "Addresses that an operator must not mail."},
		{Name: "Webhooks", Description: "Endpoints that are told what becomes of an operator's mail. What they get, and how it is signed (Standard Webhooks), is in the section `webhooks` of the OpenAPI document and in docs/api.md."},
		{Name: "Operators", Description: "For the platform: its operators and their keys."},
		{Name: "Platform", Description: "For the platform: its own DNS records and signing keys, and what its support decides and enters."},
	}
}

// answers describes what an operation answers, as far as its types do not.
func (s *server) answers(o operation) map[string]*huma.Response {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem](), true, "Problem")
	out := map[string]*huma.Response{
		"default": {
			Description: "Refused, or failed.",
			Content:     map[string]*huma.MediaType{problemType: {Schema: schema}},
		},
	}
	if o.Produces != "" {
		out[strconv.Itoa(o.Status)] = &huma.Response{
			Description: http.StatusText(o.Status),
			Content:     map[string]*huma.MediaType{o.Produces: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}
	}
	return out
}

// describe serves the description of all registered operations. It is made once: a
// description that cannot be made is a program that cannot start.
func (s *server) describe() {
	doc := s.api.OpenAPI()
	asJSON, err := openAPI(doc)
	if err != nil {
		panic(fmt.Sprintf("api: OpenAPI: %v", err))
	}
	var asYAML bytes.Buffer
	if err := yaml.Convert(&asYAML, bytes.NewReader(asJSON)); err != nil {
		panic(fmt.Sprintf("api: OpenAPI: %v", err))
	}
	page, policy := docsPage(doc)
	serve := func(path, mediaType, policy string, body []byte) {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			if policy != "" {
				w.Header().Set("Content-Security-Policy", policy)
			}
			_, _ = w.Write(body) // a client that is gone reads nothing
		})
	}
	serve("/openapi.json", "application/json", "", asJSON)
	serve("/openapi.yaml", "application/yaml", "", asYAML.Bytes())
	serve("/docs", "text/html; charset=utf-8", policy, page)
}

// openAPI writes the description. It differs from the schemas that requests are checked
// with in what only clients need to know.
func openAPI(doc *huma.OpenAPI) ([]byte, error) {
	written, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	var root map[string]any
	if err := json.Unmarshal(written, &root); err != nil {
		return nil, err
	}
	components, _ := root["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	delete(schemas, "ErrorModel") // huma's own form of errors, which refuseInProblems replaces
	delete(schemas, "ErrorDetail")
	asked := requested(root["paths"], schemas)
	for name, v := range schemas {
		schema, _ := v.(map[string]any)
		if !asked[name] {
			delete(schema, "additionalProperties") // answers may get more fields
		}
		nullable(schema)
	}
	indented, err := json.MarshalIndent(root, "", "  ")
	return append(indented, '\n'), err
}

// requested finds the schemas that requests are made of.
func requested(paths any, schemas map[string]any) map[string]bool {
	found := map[string]bool{}
	var walk func(v any, inRequest bool)
	walk = func(v any, inRequest bool) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item, inRequest)
			}
		case map[string]any:
			for key, item := range v {
				walk(item, inRequest || key == "requestBody")
			}
			ref, _ := v["$ref"].(string)
			if name, ok := strings.CutPrefix(ref, schemaPrefix); ok && inRequest && !found[name] {
				found[name] = true
				walk(schemas[name], true)
			}
		}
	}
	walk(paths, false)
	return found
}

// nullable says of optional objects that they may be null. huma takes null for them, but
// has no word for it.
func nullable(schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for name, v := range properties {
		property, _ := v.(map[string]any)
		ref, ok := property["$ref"]
		if !ok || slices.Contains(required, any(name)) {
			continue
		}
		delete(property, "$ref")
		property["anyOf"] = []any{map[string]any{"$ref": ref}, map[string]any{"type": "null"}}
	}
}
