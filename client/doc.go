// Package client is the Go client of Waypost's REST API. It needs the standard library
// only.
//
//	c := client.New("http://127.0.0.1:8080", key)
//	receipt, err := c.Send(ctx, client.NewMessage{
//		To:      []client.Address{{Email: "driver@example.com"}},
//		Subject: "Speeding alert",
//		Text:    "Truck 7 drove 97 km/h.",
//		Kind:    "event",
//	})
//
// What the server refuses is an *Error with the status, a code for programs and the
// fields at fault. With a key of the platform, For names the operator.
package client
