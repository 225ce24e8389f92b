package account

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Settings are an operator's e-mail settings as shown. They hold no secret.
type Settings struct {
	Gateway   *Gateway  `json:"gateway" required:"false" doc:"The gateway in use; null if none is bound."`
	From      string    `json:"from" doc:"The default sender, \"Name <address>\"; empty if there is none."`
	ReplyTo   string    `json:"reply_to" doc:"The default Reply-To; empty for none."`
	Signature Signature `json:"signature"`
	ReadOnly
}

// ReadOnly is what settings show beyond what can be saved. An update may carry it,
// and it is ignored there: so an answer can be changed and sent back.
type ReadOnly struct {
	SMTP        *Gateway              `json:"smtp" required:"false" readOnly:"true" doc:"The operator's own SMTP server, kept while another gateway is in use; null if none is saved."`
	Allowed     []waypost.GatewayType `json:"allowed" required:"false" readOnly:"true" doc:"The gateways that the operator's product includes."`
	FromInUse   *FromInUse            `json:"from_in_use" required:"false" readOnly:"true" doc:"The From address that mail leaves with now."`
	RelayHealth *RelayHealth          `json:"relay_health" required:"false" readOnly:"true" doc:"Set while the own SMTP server is failing and mail waits."`
	Warnings    []string              `json:"warnings" required:"false" readOnly:"true" doc:"What is risky about these settings."`
}

// Gateway is a gateway as shown.
type Gateway struct {
	Type     waypost.GatewayType `json:"type" enum:"builtin,smtp"`
	Host     string              `json:"host" required:"false"`
	Port     int                 `json:"port" required:"false"`
	Security waypost.Security    `json:"security" required:"false"`
	TrustAll bool                `json:"trust_all" required:"false" doc:"Any certificate is accepted."`
	Auth     *Login              `json:"auth" required:"false" doc:"null: no login."`
}

// MarshalJSON leaves out what only a server has.
func (g Gateway) MarshalJSON() ([]byte, error) {
	if g.Type == waypost.GatewayBuiltin {
		return json.Marshal(struct {
			Type waypost.GatewayType `json:"type"`
		}{g.Type})
	}
	type plain Gateway
	return json.Marshal(plain(g))
}

// Login is a login as shown.
type Login struct {
	Username    string `json:"username"`
	PasswordSet bool   `json:"password_set" required:"false" doc:"A password is saved. It is never shown."`
}

// Signature is appended to every mail, each part at most 16 KiB.
type Signature struct {
	Text string `json:"text" required:"false"`
	HTML string `json:"html" required:"false"`
}

// FromInUse is the From that mail with the default sender leaves with.
type FromInUse struct {
	Address string `json:"address"`
	Name    string `json:"name" required:"false"`
	Reason  string `json:"reason" required:"false" doc:"Why it is not the default sender, or not used; empty if it is."`
}

// RelayHealth is shown while the own SMTP server is failing.
type RelayHealth struct {
	FailingSince time.Time `json:"failing_since"`
	Reason       string    `json:"reason"`
	NextProbe    time.Time `json:"next_probe"`
}

// Update is what SaveEmail saves: all of it. What is left out is emptied; only From
// and, when another gateway is chosen, the own SMTP server stay as they are.
type Update struct {
	Gateway   *GatewayUpdate `json:"gateway,omitempty" doc:"The gateway to use; null for none."`
	From      string         `json:"from,omitempty" doc:"The default sender, \"Name <address>\" or \"address\"; left out, it stays. A new one has to be assigned before the built-in gateway uses it." example:"Fleet Alerts <alerts@example.com>"`
	ReplyTo   string         `json:"reply_to,omitempty" doc:"The default Reply-To, one address."`
	Signature Signature      `json:"signature,omitzero" doc:"Appended to every mail. A missing part is made from the other."`
	ReadOnly
}

// GatewayUpdate chooses a gateway. Type smtp alone, without any other field, means the
// server that is saved.
type GatewayUpdate struct {
	Type     waypost.GatewayType `json:"type" enum:"builtin,smtp"`
	Host     string              `json:"host,omitempty" doc:"Name or IP address of the SMTP server."`
	Port     int                 `json:"port,omitempty" doc:"Default: 25, 587 or 465, by security."`
	Security waypost.Security    `json:"security,omitempty" enum:"none,starttls,tls" doc:"starttls and tls are required once chosen; nothing falls back to plain text."`
	TrustAll bool                `json:"trust_all,omitempty" doc:"Accept any certificate."`
	Auth     *AuthUpdate         `json:"auth,omitempty" doc:"null: no login; a saved password is removed."`
}

// AuthUpdate is a login as typed. It prints as "[redacted]".
type AuthUpdate struct {
	Username    string `json:"username"`
	Password    string `json:"password,omitempty" writeOnly:"true" doc:"Left out, the saved one is used again, if host, port, user name and trust_all stay and security is not lowered."`
	PasswordSet bool   `json:"password_set,omitempty" readOnly:"true" doc:"Ignored."`
}

// Format implements fmt.Formatter and reveals nothing, whatever the verb.
func (AuthUpdate) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }
