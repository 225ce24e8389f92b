package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/waypost/waypost/internal/waypost"
)

const (
	maxList   = 1000 // items of a list whose schema does not say
	maxChecks = 1000 // problems of one request after which nobody looks for more
	maxName   = 64   // bytes of the name of a field; checkable sees to it
	maxEscape = 12   // bytes that JSON may take for one character: two times \uXXXX
)

// checker holds a request body against the schema of its operation, in one pass over
// the bytes. huma's own check decodes the body to maps, looks at every item of a list
// however long it is, and keeps a value for everything wrong with it: a dense body takes
// hundreds of times its size then, and names with dots in them thousands. Here lists end
// at their bound, only short texts are decoded, and only the first problems are kept.
//
// Names are compared without case, as encoding/json does. None may come twice: the
// decoder would mix the values, and what was checked would not be what is used.
type checker struct {
	schemas huma.Registry
	data    []byte // valid JSON
	at      int    // what comes next in it; behind the end when nobody looks any more
	path    []step
	found   []problemField // the first ones
	total   int
	long    longList // the first one
}

// step is a name on the way to a value, or an index.
type step struct {
	name  string
	index int // -1 for a name
}

// longList is a list with too many items.
type longList struct {
	location    string
	items, most int
}

// checkBody finds what is wrong with the body of a request, before anything is decoded.
func (s *server) checkBody(op *huma.Operation, data []byte) error {
	if !json.Valid(data) {
		err := json.Unmarshal(data, new(struct{})) // it finds the place, and decodes nothing
		return &problem{
			Status: http.StatusBadRequest, Code: "malformed", Detail: "the request is not valid JSON",
			Errors: []problemField{{Location: "body", Message: fmt.Sprint(err)}},
		}
	}
	c := checker{schemas: s.api.OpenAPI().Components.Schemas, data: data, path: make([]step, 0, 8)}
	c.enter("body")
	c.value(bodySchema(op), false)
	switch field := strings.TrimPrefix(c.long.location, "body."); {
	case c.total == 0:
		return nil
	case field == "to" || field == "cc" || field == "bcc":
		return &waypost.Error{ // the answer to too many in all of them together
			Kind: waypost.TooLarge, Code: "too_many_recipients", Field: field,
			Message: fmt.Sprintf("%d recipients, %d are allowed", c.long.items, c.long.most),
		}
	}
	p := &problem{Status: http.StatusUnprocessableEntity, Code: waypost.Invalid.String()}
	p.list(c.found, c.total)
	p.Detail = counted(p.Errors[0].Location+": "+p.Errors[0].Message, c.total)
	return p
}

// bodySchema is the schema of an operation's request body.
func bodySchema(op *huma.Operation) *huma.Schema { return op.RequestBody.Content[mediaJSON].Schema }

const mediaJSON = "application/json"

// value checks the value that comes next and goes behind it.
func (c *checker) value(s *huma.Schema, optional bool) {
	s = resolved(c.schemas, s)
	first := c.next()
	if len(s.OneOf) > 0 && first != 'n' {
		i := slices.IndexFunc(s.OneOf, func(one *huma.Schema) bool { return beginning(resolved(c.schemas, one).Type) == first })
		if i < 0 {
			c.wrong("expected object or string")
			return
		}
		s = resolved(c.schemas, s.OneOf[i])
	}
	switch {
	case first == 'n' && (optional || s.Nullable):
		c.skip()
	case s.Type == huma.TypeObject && first == '{':
		c.at++
		if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
			c.values(values, *s.MaxProperties)
		} else {
			c.object(s)
		}
	case s.Type == huma.TypeArray && first == '[':
		c.at++
		c.array(s)
	case s.Type == huma.TypeString && first == '"':
		c.text(s, c.token())
	case s.Type == huma.TypeInteger && (first == '-' || first >= '0' && first <= '9'):
		const longest = len("-9223372036854775808")
		token := c.token()
		if _, err := strconv.ParseInt(string(token[:min(len(token), longest+1)]), 10, 64); err != nil {
			c.add(validation.MsgExpectedInteger)
		}
	case s.Type == huma.TypeNumber && (first == '-' || first >= '0' && first <= '9'):
		const longest = 32 // digits enough for every number there is
		token := c.token()
		if _, err := strconv.ParseFloat(string(token[:min(len(token), longest+1)]), 64); err != nil || len(token) > longest {
			c.add(validation.MsgExpectedNumber)
		}
	case s.Type == huma.TypeBoolean && (first == 't' || first == 'f'):
		c.skip()
	default:
		c.wrong(expected(s.Type))
	}
}

// beginning is the byte that a value of a type begins with.
func beginning(schemaType string) byte {
	return map[string]byte{huma.TypeObject: '{', huma.TypeString: '"'}[schemaType]
}

func expected(schemaType string) string {
	switch schemaType {
	case huma.TypeObject:
		return validation.MsgExpectedObject
	case huma.TypeArray:
		return validation.MsgExpectedArray
	case huma.TypeString:
		return validation.MsgExpectedString
	case huma.TypeInteger:
		return validation.MsgExpectedInteger
	case huma.TypeNumber:
		return validation.MsgExpectedNumber
	case huma.TypeBoolean:
		return validation.MsgExpectedBoolean
	default:
		return validation.MsgExpectedMatchExactlyOneSchema
	}
}

// object checks an object whose names are known.
func (c *checker) object(s *huma.Schema) {
	var few [32]string
	seen := few[:0]
	for c.more('}') {
		token := c.token()
		name, known := property(s, token)
		if !known {
			name = shown(token)
		}
		c.enter(name)
		switch {
		case !known:
			c.wrong(validation.MsgUnexpectedProperty)
		case slices.Contains(seen, name):
			c.wrong("is there twice")
		default:
			seen = append(seen, name)
			c.value(s.Properties[name], !slices.Contains(s.Required, name))
		}
		c.leave()
	}
	for _, name := range s.Required {
		if !slices.Contains(seen, name) {
			c.add(fmt.Sprintf(validation.MsgExpectedRequiredProperty, name))
		}
	}
}

// property finds the field that a name means.
func property(s *huma.Schema, token []byte) (string, bool) {
	if len(token) > maxName*maxEscape {
		return "", false
	}
	name := decoded(token)
	if _, ok := s.Properties[name]; ok {
		return name, true
	}
	for known := range s.Properties {
		if strings.EqualFold(known, name) {
			return known, true
		}
	}
	return "", false
}

// values checks an object of any names.
func (c *checker) values(s *huma.Schema, most int) {
	seen := map[string]bool{}
	for c.more('}') {
		if len(seen) == most {
			c.rest('}')
			c.add(fmt.Sprintf(validation.MsgExpectedMaxProperties, most))
			return
		}
		token := c.token()
		name := decoded(token)
		c.enter(name)
		if seen[name] {
			c.wrong("is there twice")
		} else {
			seen[name] = true
			c.value(s, false)
		}
		c.leave()
	}
}

func (c *checker) array(s *huma.Schema) {
	most := maxList
	if s.MaxItems != nil {
		most = *s.MaxItems
	}
	n := 0
	for ; c.more(']'); n++ {
		if n == most {
			n += c.rest(']')
			if c.long.most == 0 {
				c.long = longList{c.location(), n, most}
			}
			c.add(fmt.Sprintf(validation.MsgExpectedMaxItems, most))
			return
		}
		c.path = append(c.path, step{index: n})
		c.value(s.Items, false)
		c.leave()
	}
}

func (c *checker) text(s *huma.Schema, token []byte) {
	if s.MinLength != nil && characters(token, *s.MinLength) < *s.MinLength {
		c.add(fmt.Sprintf(validation.MsgExpectedMinLength, *s.MinLength))
	}
	if s.MaxLength != nil && characters(token, *s.MaxLength) > *s.MaxLength {
		c.add(fmt.Sprintf(validation.MsgExpectedMaxLength, *s.MaxLength))
	}
	if s.Format == formatTime && (len(token) > maxName || new(time.Time).UnmarshalJSON(token) != nil) {
		c.add(validation.MsgExpectedRFC3339DateTime)
	}
	if len(s.Enum) > 0 && (len(token) > maxName*maxEscape || !slices.Contains(s.Enum, any(decoded(token)))) {
		c.add(fmt.Sprintf(validation.MsgExpectedOneOf, strings.Join(enumNames(s.Enum), ", ")))
	}
}

// characters counts those of a text; once there are more than limit, any number does.
func characters(token []byte, limit int) int {
	if len(token) > maxEscape*(limit+1) {
		return limit + 1
	}
	return utf8.RuneCountInString(decoded(token))
}

// decoded is the text that a string in JSON stands for.
func decoded(token []byte) string {
	if bytes.IndexByte(token, '\\') < 0 {
		return string(token[1 : len(token)-1])
	}
	var s string
	_ = json.Unmarshal(token, &s) // it is valid
	return s
}

// shown is a name that nobody knows, or how it begins.
func shown(token []byte) string {
	if len(token) > maxLocation {
		return string(token[1:maxLocation])
	}
	return decoded(token)
}

// next returns the byte that the next value begins with. In valid JSON everything
// between two values can be passed over.
func (c *checker) next() byte {
	for ; c.at < len(c.data); c.at++ {
		switch b := c.data[c.at]; b {
		case ' ', '\t', '\r', '\n', ',', ':':
		default:
			return b
		}
	}
	return 0
}

// more reports whether an object or array goes on, and goes behind it if not.
func (c *checker) more(end byte) bool {
	b := c.next()
	if b == end {
		c.at++
	}
	return b != end && b != 0
}

// rest goes behind an object or array and counts what it still had.
func (c *checker) rest(end byte) (n int) {
	for ; c.more(end); n++ {
		c.skip()
	}
	return n
}

// token takes a string with its quotes, a number or a word.
func (c *checker) token() []byte {
	start := c.at
	if c.data[start] != '"' {
		for c.at < len(c.data) && strings.IndexByte(" \t\r\n,:]}", c.data[c.at]) < 0 {
			c.at++
		}
		return c.data[start:c.at]
	}
	for c.at++; ; c.at++ {
		c.at += bytes.IndexByte(c.data[c.at:], '"')
		escapes := 0
		for c.data[c.at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			c.at++
			return c.data[start:c.at]
		}
	}
}

// skip goes behind a value without looking into it.
func (c *checker) skip() {
	for depth := 0; ; {
		switch c.next() {
		case 0:
			return
		case '{', '[':
			depth++
			c.at++
		case '}', ']':
			depth--
			c.at++
		default:
			c.token()
		}
		if depth == 0 {
			return
		}
	}
}

// wrong notes a problem with the next value and goes behind it.
func (c *checker) wrong(message string) {
	c.skip()
	c.add(message)
}

// add notes a problem with the value at the path.
func (c *checker) add(message string) {
	if c.total == maxChecks { // what was not looked at is not missing either
		return
	}
	if c.total++; c.total <= maxProblems {
		c.found = append(c.found, problemField{Location: c.location(), Message: message})
	}
	if c.total == maxChecks {
		c.at = len(c.data)
	}
}

func (c *checker) enter(name string) { c.path = append(c.path, step{name, -1}) }

func (c *checker) leave() { c.path = c.path[:len(c.path)-1] }

func (c *checker) location() string {
	var b strings.Builder
	for i, s := range c.path {
		switch {
		case s.index >= 0:
			fmt.Fprintf(&b, "[%d]", s.index)
		case i > 0:
			b.WriteByte('.')
			fallthrough
		default:
			b.WriteString(s.name[:min(len(s.name), maxLocation)])
		}
	}
	return b.String()
}

const formatTime = "date-time"

// checkable says what in the schema of a request body the checker does not know, "" for
// nothing: a rule that is written down has to be kept.
func checkable(schemas huma.Registry, s *huma.Schema) string {
	s = resolved(schemas, s)
	values, isMap := s.AdditionalProperties.(*huma.Schema)
	switch {
	case len(s.AnyOf)+len(s.AllOf)+len(s.DependentRequired) > 0 || s.Not != nil:
		return "a combination of schemas"
	case s.Minimum != nil || s.Maximum != nil || s.ExclusiveMinimum != nil || s.ExclusiveMaximum != nil || s.MultipleOf != nil:
		return "a bound of a number"
	case s.Pattern != "" || s.ContentEncoding != "" || s.Type == huma.TypeString && s.Format != "" && s.Format != formatTime:
		return "a form of text"
	case s.MinItems != nil || s.MinProperties != nil || s.UniqueItems:
		return "a rule for lists"
	case slices.ContainsFunc(s.OneOf, func(one *huma.Schema) bool { return beginning(resolved(schemas, one).Type) == 0 }):
		return "a choice that its first byte does not tell"
	case s.OneOf == nil && expected(s.Type) == expected(""):
		return "the type " + strconv.Quote(s.Type)
	case isMap && (s.MaxProperties == nil || len(s.Properties) > 0), s.Type == huma.TypeObject && !isMap && s.AdditionalProperties != false:
		return "an object without bound"
	}
	inner := slices.Clone(s.OneOf)
	for name, property := range s.Properties {
		if len(name) > maxName {
			return "a name as long as " + name
		}
		inner = append(inner, property)
	}
	if isMap {
		inner = append(inner, values)
	}
	if s.Items != nil {
		inner = append(inner, s.Items)
	}
	for _, one := range inner {
		if why := checkable(schemas, one); why != "" {
			return why
		}
	}
	return ""
}
