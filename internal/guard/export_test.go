package guard

import "context"

// Control exposes the hook that sees the address of the socket.
func Control(ctx context.Context, g *Guard, network, address string) error {
	return g.control(ctx, network, address, nil)
}
