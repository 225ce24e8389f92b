// Package migrations holds the schema: one text for both engines, applied in order.
package migrations

import (
	"embed"
	"io"
	"io/fs"
	"strings"
)

//go:embed *.sql
var files embed.FS

// SQLite returns the migrations as SQLite takes them.
func SQLite() fs.FS {
	return filled{FS: files, words: strings.NewReplacer("/*WITHOUT ROWID*/", "WITHOUT ROWID")}
}

// PostgreSQL returns the migrations as PostgreSQL takes them.
func PostgreSQL() fs.FS {
	return filled{FS: files, words: strings.NewReplacer("/*C*/", `COLLATE "C"`)}
}

// filled is the embedded files with the engine's words in their places.
type filled struct {
	embed.FS
	words *strings.Replacer
}

func (f filled) ReadFile(name string) ([]byte, error) {
	text, err := f.FS.ReadFile(name)
	return []byte(f.words.Replace(string(text))), err
}

func (f filled) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if _, ok := file.(fs.ReadDirFile); ok {
		return file, nil
	}
	text, err := f.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return filledFile{File: file, Reader: strings.NewReader(string(text))}, nil
}

type filledFile struct {
	fs.File
	io.Reader
}

func (f filledFile) Read(p []byte) (int, error) { return f.Reader.Read(p) }
