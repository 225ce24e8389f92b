package panel

import (
	"fmt"
	"net/http"
	"strconv"
)

// brandCSS is the platform's own color as a style sheet: pages have no inline styles.
func (p *panel) brandCSS(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "max-age=300")
	r, g, b, ok := rgb(p.Brand.Color)
	if !ok {
		return
	}
	fmt.Fprintf(w, ":root{--wp-brand:%[1]s;--tblr-primary:%[1]s;--tblr-primary-rgb:%[2]d,%[3]d,%[4]d;--tblr-primary-fg:%[5]s}\n", p.Brand.Color, r, g, b, readable(r, g, b))
}

// brandLogo is the platform's image. One that is opened by itself runs no scripts: an SVG
// file could have some.
func (p *panel) brandLogo(w http.ResponseWriter, r *http.Request) {
	if p.Logo.Text == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", p.Logo.Kind)
	h.Set("Cache-Control", "max-age=300")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	_, _ = w.Write(p.Logo.Text) // a client that is gone reads nothing
}

// rgb reads "#1d4ed8".
func rgb(color string) (r, g, b uint64, ok bool) {
	if len(color) != 7 || color[0] != '#' {
		return 0, 0, 0, false
	}
	n, err := strconv.ParseUint(color[1:], 16, 32)
	return n >> 16, n >> 8 & 255, n & 255, err == nil
}

// readable is black or white, whichever is easier to read on a color (WCAG 2.2, relative
// luminance with the usual approximation of gamma).
func readable(r, g, b uint64) string {
	luminance := 0.2126*square(r) + 0.7152*square(g) + 0.0722*square(b)
	if luminance > 0.22 {
		return "#182433"
	}
	return "#ffffff"
}

func square(n uint64) float64 { f := float64(n) / 255; return f * f }
