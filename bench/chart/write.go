package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// ErrFormat is returned for a file name that does not end in .svg or .png.
var ErrFormat = errors.New("the name of a chart ends in .svg or .png")

// pngResolution is twice the resolution of a browser, which looks sharp on most screens.
const pngResolution = 192

// Format returns ErrFormat for a file name that Write does not accept.
func Format(file string) error {
	if ext := filepath.Ext(file); ext != ".svg" && ext != ".png" {
		return ErrFormat
	}
	return nil
}

// Write draws the chart to a file, in the format given by its name: .svg or .png. A chart
// without points has only axes.
func (c Chart) Write(file string) error {
	if err := Format(file); err != nil {
		return fmt.Errorf("chart: %s: %w", file, err)
	}
	var b bytes.Buffer
	render := c.svg
	if filepath.Ext(file) == ".png" {
		render = c.png
	}
	if err := render(&b); err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	if err := replace(file, b.Bytes()); err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	return nil
}

// svg writes the chart as SVG. The font is not embedded; Arial and Helvetica have letters
// of the same width.
func (c Chart) svg(w io.Writer) error {
	width, height := c.size()
	canvas := vgsvg.New(width, height)
	c.draw(draw.NewCanvas(canvas, width, height))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	_, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")))
	return err
}

func (c Chart) png(w io.Writer) error {
	width, height := c.size()
	canvas := vgimg.NewWith(vgimg.UseWH(width, vg.Length(height)), vgimg.UseDPI(pngResolution))
	c.draw(draw.New(canvas))
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// replace replaces a file atomically.
func replace(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename, there is nothing to remove
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
