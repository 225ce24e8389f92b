//go:build static || !linux || !(amd64 || arm64)

package dkim

import "errors"

// openLibcrypto reports that this build has no libcrypto.
func openLibcrypto() (*Engine, error) { return nil, errors.New("built without libcrypto") }
