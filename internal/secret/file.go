package secret

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxKeyFile bounds what is read of a key file, in bytes: room for a thousand keys.
const maxKeyFile = 64 << 10

// Parse reads keys from text: each 64 hex digits or 32 bytes of base64 (standard or
// URL alphabet, with or without padding), separated by white space or commas, the
// current one first.
func Parse(text string) (*Ring, error) {
	fields := strings.FieldsFunc(text, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n'
	})
	if len(fields) == 0 {
		return nil, errors.New("instance key: empty")
	}
	keys := make([][]byte, 0, len(fields))
	for _, field := range fields {
		key, err := parseKey(field)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return NewRing(keys[0], keys[1:]...)
}

// parseKey drops the decoders' errors: they quote what they read.
func parseKey(text string) ([]byte, error) {
	if len(text) == 2*KeySize {
		if key, err := hex.DecodeString(text); err == nil {
			return key, nil
		}
	}
	text = strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(text); err == nil && len(key) == KeySize {
			return key, nil
		}
	}
	return nil, fmt.Errorf("instance key: not %d bytes in hex or base64", KeySize)
}

// Load reads the keys in a file.
func Load(path string) (*Ring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("instance key: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("instance key: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("instance key: %s is too large for a key file", path)
	}
	ring, err := Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ring, nil
}

// Create makes a random key and writes it to a new file that only its owner can
// read. The file appears whole or not at all, survives a crash once Create has
// returned, and is never written over: if there is one, the error is fs.ErrExist.
func Create(path string) (ring *Ring, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("create instance key: %w", err)
		}
	}()
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand crashes the program instead
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	// A link, not a rename, because a rename would replace an existing key.
	if err := os.Link(tmp.Name(), path); err != nil {
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return NewRing(key)
}

// syncDir makes a new name in a directory survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
