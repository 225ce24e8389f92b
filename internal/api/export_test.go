package api

import "context"

// RegisterWithoutRule registers an operation that is not in the table of rules.
func RegisterWithoutRule() {
	register(newServer(Options{}), operation{ID: "new-operation", Method: "GET", Path: "/v1/new"},
		func(context.Context, *caller, *struct{}) (*struct{}, error) { return nil, nil })
}
