package panel

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var static embed.FS

// assets are the files that pages refer to. Each has its hash in its address, so browsers
// keep it for ever and never show an old one.
type assets struct {
	hash  string
	files map[string]asset
}

type asset struct {
	kind         string
	text, zipped []byte // zipped is nil where it does not help
}

func loadAssets() (*assets, error) {
	a := &assets{files: map[string]asset{}}
	sum := sha256.New()
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		kind := mime.TypeByExtension(path.Ext(name))
		if err != nil || d.IsDir() || kind == "" || path.Ext(name) == ".md" {
			return err
		}
		text, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		sum.Write(text)
		zipped, err := zip(text)
		a.files[strings.TrimPrefix(name, "static/")] = asset{kind: kind, text: text, zipped: zipped}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	a.hash = hex.EncodeToString(sum.Sum(nil)[:8])
	return a, nil
}

func zip(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil || b.Len() >= len(text) {
		return nil, err
	}
	return b.Bytes(), nil
}

// url is the address of a file, "panel.css".
func (a *assets) url(name string) string { return "/static/" + a.hash + "/" + name }

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Vary", "Accept-Encoding")
	if r.PathValue("hash") == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else { // a page from before an update
		h.Set("Cache-Control", "no-cache")
	}
	text := file.text
	if file.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		text = file.zipped
	}
	_, _ = w.Write(text) // a client that is gone reads nothing
}
