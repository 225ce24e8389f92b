package api

import (
	"context"
	"net/http"

	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// PlatformDNS looks at the platform's own records and keys; *app.Base does.
type PlatformDNS interface {
	CheckPlatform(ctx context.Context) (verify.Report, error)
	KeyRotation(ctx context.Context) (verify.RotationStatus, error)
	// RotateKeys asks for a rotation.
	RotateKeys(ctx context.Context, by waypost.Actor) (verify.RotationStatus, error)
}

func (s *server) registerPlatform() {
	register(s, operation{
		ID: "get-platform-dns", Method: http.MethodGet, Path: "/v1/platform/dns", Tag: "Platform", Status: http.StatusOK,
		Summary: "Check the platform's own DNS records",
		Description: "Every record the platform's owner has to publish, with what its name servers say now and what to do, " +
			"the names of the sending addresses included; and how far a rotation of the DKIM keys is.",
	}, s.getPlatformDNS)
	register(s, operation{
		ID: "rotate-dkim", Method: http.MethodPost, Path: "/v1/platform/dkim/rotate", Tag: "Platform", Status: http.StatusAccepted,
		Summary: "Rotate the DKIM keys",
		Description: "Asks for it: the other key signs as soon as its record has been seen at the authoritative name servers, and for one TTL " +
			"at a recursive one. Asking again looks again at once. Operators have nothing to do.",
	}, s.rotateDKIM)
}

// platformDNS is what the platform's owner has to publish.
type platformDNS struct {
	Records   []verify.Item `json:"records" nullable:"false"`
	CheckedAt string        `json:"checked_at" format:"date-time"`
	Rotation  dkimRotation  `json:"rotation"`
}

// dkimRotation is how far a rotation of the DKIM keys is.
type dkimRotation struct {
	Signing      string               `json:"signing" doc:"Selector of the key that signs."`
	SigningSince string               `json:"signing_since" format:"date-time"`
	Other        string               `json:"other" doc:"Selector of the other key."`
	State        verify.RotationState `json:"state" enum:"ready,record,caches,keeping" doc:"ready: the other key can be asked to sign. record: it was asked, and its record is not at all name servers yet. caches: resolvers may not have its record yet. keeping: it has signed and stays as it is for mail that is still on its way; then it is replaced."`
	AskedAt      string               `json:"asked_at,omitempty" format:"date-time"`
	Until        string               `json:"until,omitempty" format:"date-time" doc:"When the next step can be, if that is known."`
}

func showRotation(s verify.RotationStatus) dkimRotation {
	return dkimRotation{
		Signing: s.Signing.Selector, SigningSince: stamp(s.Signing.Started), Other: s.Other.Selector, State: s.State,
		AskedAt: stamp(s.Other.Wanted), Until: stamp(s.Until),
	}
}

func (s *server) getPlatformDNS(ctx context.Context, _ *caller, _ *struct{}) (*answer[platformDNS], error) {
	report, err := s.PlatformDNS.CheckPlatform(ctx)
	if err != nil {
		return nil, err
	}
	rotation, err := s.PlatformDNS.KeyRotation(ctx)
	if err != nil {
		return nil, err
	}
	return &answer[platformDNS]{platformDNS{
		Records: report.Items, CheckedAt: stamp(report.At), Rotation: showRotation(rotation),
	}}, nil
}

func (s *server) rotateDKIM(ctx context.Context, c *caller, _ *struct{}) (*answer[dkimRotation], error) {
	status, err := s.PlatformDNS.RotateKeys(ctx, c.actor())
	return &answer[dkimRotation]{showRotation(status)}, err
}
