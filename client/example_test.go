package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/waypost/waypost/client"
)

func ExampleClient_Send() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"id":"0192a8c4","deliveries":[{"id":"0192a8c5","message_id":"0192a8c4","to":"driver@example.com","status":"queued"}]}`)
	}))
	defer server.Close()

	c := client.New(server.URL, "wp_live_...")
	receipt, err := c.Send(context.Background(), client.NewMessage{
		To:             []client.Address{{Email: "driver@example.com"}},
		Subject:        "Speeding alert",
		Text:           "Truck 7 drove 97 km/h.",
		Kind:           "event",
		IdempotencyKey: "alert-4711",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(receipt.ID, receipt.Deliveries[0].Status)
	// Output: 0192a8c4 queued
}
