package api

import "context"

// RegisterWithoutRule registers an operation that is not in the table of rules.
func RegisterWithoutRule() {
	register(newServer(Options{}), operation{ID: "new-operation", Method: "GET", Path: "/v1/new"},
		func(context.Context, *caller, *struct{}) (*struct{}, error) { return nil, nil })
}

// RegisterUncheckable registers an operation whose body has a rule that checker does not
// keep.
func RegisterUncheckable() {
	s := newServer(Options{})
	s.rules["new-operation"] = rule{}
	register(s, operation{ID: "new-operation", Method: "POST", Path: "/v1/new"},
		func(context.Context, *caller, *answer[struct {
			Code string `json:"code" pattern:"^[A-Z]+$"`
		}],
		) (*struct{}, error) {
			return nil, nil
		})
}
