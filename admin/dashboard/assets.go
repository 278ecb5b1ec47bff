package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"roost/admin/api"
)

//go:embed assets templates
var files embed.FS

// assetTypes are the types of the files in assets that browsers may request.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets are the files by their paths in URLs, which contain a hash of the content: a
// browser never uses one of another version, and may keep each forever.
var assets, assetPaths = readAssets()

func readAssets() (content map[string][]byte, paths map[string]string) {
	content, paths = make(map[string][]byte), make(map[string]string)
	err := fs.WalkDir(files, "assets", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || assetTypes[path.Ext(name)] == "" {
			return err
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		hash := sha256.Sum256(text)
		url := "/assets/" + hex.EncodeToString(hash[:8]) + "/" + path.Base(name)
		content[url], paths[path.Base(name)] = text, url
		return nil
	})
	if err != nil {
		panic("dashboard: BUG: " + err.Error())
	}
	return content, paths
}

// asset serves a file.
func (d *Dashboard) asset(v *visit) error {
	text, ok := assets[v.URL.Path]
	if !ok {
		return &api.Error{Status: 404, Code: api.CodeNotFound, Message: "there is no such file"}
	}
	v.w.Header().Set("Content-Type", assetTypes[path.Ext(v.URL.Path)])
	v.w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if v.Method != http.MethodHead {
		_, _ = v.w.Write(text)
	}
	return nil
}

// templates are the pages, each with the layout.
var templates = readTemplates()

func readTemplates() map[string]*template.Template {
	funcs := template.FuncMap{"asset": func(name string) string { return assetPaths[name] }}
	for name, f := range formats {
		funcs[name] = f
	}
	layout := template.Must(template.New("").Funcs(funcs).ParseFS(files, "templates/layout.html"))
	all := make(map[string]*template.Template)
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic("dashboard: BUG: " + err.Error())
	}
	for _, name := range names {
		base := strings.TrimPrefix(name, "templates/")
		all[base] = template.Must(template.Must(layout.Clone()).ParseFS(files, name))
	}
	return all
}
