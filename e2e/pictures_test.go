//go:build pictures

package e2e_test

import (
	"cmp"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// pictured are the pictures of the documentation, by their names there.
func pictured() map[string]string {
	return map[string]string{
		"overview": "overview-light", "messages-phone": "messages-phone", "message": "message-waiting-light",
		"email": "email-preset-light", "test-mail": "email-test-light", "domain": "domain-missing-light",
		"operators": "operators-light", "queue": "queue-light",
	}
}

// TestPicturesOfTheDocumentation makes them out of the screenshots (make pictures).
func TestPicturesOfTheDocumentation(t *testing.T) {
	from, to := os.Getenv("WAYPOST_SCREENSHOTS"), os.Getenv("WAYPOST_PICTURES")
	if from == "" || to == "" {
		t.Fatal("WAYPOST_SCREENSHOTS and WAYPOST_PICTURES name no directories: make pictures")
	}
	for name, shot := range pictured() {
		f, err := os.Open(filepath.Join(from, shot+".png"))
		if err != nil {
			t.Fatal(err)
		}
		full, err := png.Decode(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(filepath.Join(to, name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		encoder := png.Encoder{CompressionLevel: png.BestCompression}
		if err := encoder.Encode(out, fewColors(full)); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Of a long page the documentation has the beginning.
const picturedHeight = 1400

// fewColors is the beginning of a picture with few colors, which makes it a third as large
// and changes nothing that one sees: the most frequent ones, but none that is nearly one of
// them.
func fewColors(full image.Image) image.Image {
	count := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA {
		r, g, b, _ := full.At(x, y).RGBA()
		return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}
	}
	bounds := full.Bounds()
	bounds.Max.Y = min(bounds.Max.Y, picturedHeight)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	var palette color.Palette
	for _, c := range slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Or(count[b]-count[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	}) {
		if len(palette) < 96 && (len(palette) < 12 || apart(palette[palette.Index(c)], c)) {
			palette = append(palette, c)
		}
	}
	few, nearest := image.NewPaletted(bounds, palette), map[color.RGBA]uint8{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := at(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(palette.Index(c))
				nearest[c] = i
			}
			few.SetColorIndex(x, y, i)
		}
	}
	return few
}

// apart reports whether two colors can be told apart side by side.
func apart(a color.Color, b color.RGBA) bool {
	c, _ := color.RGBAModel.Convert(a).(color.RGBA)
	square := func(a, b uint8) int { return (int(a) - int(b)) * (int(a) - int(b)) }
	return square(c.R, b.R)+square(c.G, b.G)+square(c.B, b.B) > 400
}
