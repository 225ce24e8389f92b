package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Header fields of a call (Standard Webhooks 1.0).
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// signature signs a call with each secret: "v1," and the HMAC-SHA256 of id, time and body
// in base64, with a blank between the signatures. A receiver needs one that is right, so
// secrets can be changed without a gap.
func signature(secrets [][]byte, id string, at time.Time, body []byte) string {
	all := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + timestamp(at) + "."))
		mac.Write(body)
		all[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(all, " ")
}

func timestamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
