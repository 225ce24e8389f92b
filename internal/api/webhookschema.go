package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost/waypost/internal/waypost"
)

// describeWebhooks describes what endpoints get: the section webhooks of OpenAPI 3.1.
func (s *server) describeWebhooks() {
	doc := s.api.OpenAPI()
	families := []struct {
		name, summary string
		data          reflect.Type
	}{
		{"message", "A message", reflect.TypeFor[waypost.WebhookEnvelope[waypost.WebhookMessageData]]()},
		{"delivery", "One recipient of a message", reflect.TypeFor[waypost.WebhookEnvelope[waypost.WebhookDeliveryData]]()},
		{"suppression", "An address that must not be mailed", reflect.TypeFor[waypost.WebhookEnvelope[waypost.WebhookSuppressionData]]()},
		{"relay", "The operator's own SMTP server", reflect.TypeFor[waypost.WebhookEnvelope[waypost.WebhookRelayData]]()},
		{"gateway", "The guard of the built-in gateway", reflect.TypeFor[waypost.WebhookEnvelope[waypost.WebhookGatewayData]]()},
		{"webhook", "The test button", reflect.TypeFor[waypost.WebhookEnvelope[waypost.WebhookTestData]]()},
	}
	doc.Webhooks = map[string]*huma.PathItem{}
	var each []*huma.Schema
	for _, f := range families {
		schema := typed(doc.Components.Schemas.Schema(f.data, true, ""), typesOf(f.name))
		each = append(each, schema)
		doc.Webhooks[f.name] = pushed(f.name, f.summary, schema)
	}
	batch := doc.Components.Schemas.Schema(reflect.TypeFor[waypost.WebhookEnvelope[waypost.WebhookBatchData[json.RawMessage]]](), true, "")
	doc.Webhooks["batch"] = pushed("batch", "Several events, for webhooks with max_events over 1", &huma.Schema{AllOf: []*huma.Schema{
		typed(batch, []any{string(waypost.WebhookBatch)}),
		{Type: huma.TypeObject, Properties: map[string]*huma.Schema{
			"data": {Type: huma.TypeObject, Properties: map[string]*huma.Schema{
				"events": {Type: huma.TypeArray, Items: &huma.Schema{OneOf: each}},
			}},
		}},
	}})
}

// typed is a schema whose type is one of some.
func typed(schema *huma.Schema, types []any) *huma.Schema {
	return &huma.Schema{AllOf: []*huma.Schema{schema, {
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"type": {Type: huma.TypeString, Enum: types}},
	}}}
}

// typesOf lists the types that begin with a word.
func typesOf(family string) (list []any) {
	for _, t := range append(slices.Clone(waypost.WebhookTypes()), waypost.WebhookTest) {
		if strings.HasPrefix(string(t), family+".") {
			list = append(list, string(t))
		}
	}
	return list
}

// pushed is a call as an endpoint gets it.
func pushed(name, summary string, schema *huma.Schema) *huma.PathItem {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.PathItem{Post: &huma.Operation{
		OperationID: "webhook-" + name, Summary: summary, Tags: []string{"Webhooks"},
		Parameters: []*huma.Param{
			{Name: "webhook-id", In: "header", Required: true, Schema: text, Description: "Of the call: the same for each attempt."},
			{Name: "webhook-timestamp", In: "header", Required: true, Schema: text, Description: "Of the attempt, in seconds since 1970."},
			{Name: "webhook-signature", In: "header", Required: true, Schema: text, Description: "\"v1,\" and the base64 of the HMAC-SHA256 of id, timestamp and body with dots between; after a rotation two of them with a blank between."},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{mediaJSON: {Schema: schema}}},
		Responses:   map[string]*huma.Response{"2XX": {Description: "Taken. " + http.StatusText(http.StatusGone) + " (410) disables the webhook, anything else is tried again for three days."}},
	}}
}
