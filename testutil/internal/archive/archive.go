// Package archive makes the archives of a release: the same bytes from the same files.
package archive

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// TooLarge is more bytes than the archive of a function may have: it is fetched at every cold start.
const TooLarge = 5_500_000

// Bootstrap is the archive of a function: its binary alone, which Lambda must be able to run.
func Bootstrap(binary []byte) ([]byte, error) {
	return Zip(map[string][]byte{"bootstrap": binary}, 0o755)
}

// Zip is an archive of files by their names. It has no date but the first that zip knows.
func Zip(files map[string][]byte, mode os.FileMode) ([]byte, error) {
	var all bytes.Buffer
	w := zip.NewWriter(&all)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestCompression)
	})
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0,
			time.UTC)}
		header.SetMode(mode)
		entry, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err := w.Close() // before Bytes: it writes the directory
	return all.Bytes(), err
}
