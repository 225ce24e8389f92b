package api

import "context"

type peerKey struct{}

// peerOf returns the client address that observe found.
func peerOf(ctx context.Context) string {
	peer, _ := ctx.Value(peerKey{}).(string)
	return peer
}
