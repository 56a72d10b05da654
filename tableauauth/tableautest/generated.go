// This file makes file content: of any size without memory, and small zip
// archives like packaged workbooks.

package tableautest

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// GeneratedContent is what a download of a [Workbook] with a Size gives: size
// bytes that depend on the workbook's LUID only, read without keeping them.
func GeneratedContent(luid string, size int64) *io.SectionReader {
	h := fnv.New64a()
	_, _ = h.Write([]byte(luid))
	return io.NewSectionReader(generated(h.Sum64()), 0, size)
}

// generated is an endless random-looking file, eight bytes a word.
type generated uint64

// ReadAt never fails; the section reader sets the end.
func (g generated) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		var word [8]byte
		pos := off + int64(n)
		binary.LittleEndian.PutUint64(word[:], mix(uint64(g)+uint64(pos/8)*0x9e3779b97f4a7c15)) //nolint:gosec // any number will do
		n += copy(p[n:], word[pos%8:])
	}
	return n, nil
}

// mix is the output function of SplitMix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// archive is a small .twbx or .tdsx file: a zip with an XML document and data.
func archive(i *item) ([]byte, error) {
	extension, root := "twb", "workbook"
	if i.kind == kindDatasource {
		extension, root = "tds", "datasource"
	}
	document := fmt.Sprintf("<?xml version='1.0' encoding='utf-8' ?>\n<%s source-build='2025.3.0' version='18.1'/>\n", root)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, file := range []struct{ name, text string }{
		{"document." + extension, document},
		{"Data/orders.csv", csvOf(i.luid, i.owner)},
	} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: file.name, Method: zip.Deflate, Modified: contentEpoch})
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(f, file.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// file returns what a download gives.
func (i *item) file() (io.ReadSeeker, *apiError) {
	switch {
	case i.published && i.data == nil:
		return nil, notFound(codeObjectNotFound, "Content").because("the file was too large to be kept, see Options.KeepBytes")
	case i.published:
		return bytes.NewReader(i.data), nil
	case i.size > 0:
		return GeneratedContent(i.luid, i.size), nil
	}
	data, err := archive(i)
	if err != nil {
		return nil, badRequest(err.Error())
	}
	return bytes.NewReader(data), nil
}
