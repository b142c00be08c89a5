// What the Go guest does when its first argument is "files".
package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing/fstest"
)

// work does each kind of work in a directory of its own below /w, which is gone afterwards.
func work() error {
	for _, kind := range []func(dir string) error{files, lines, archives, records, links, roots, checked} {
		dir, err := os.MkdirTemp("/w", "go")
		if err != nil {
			return err
		}
		if err := kind(dir); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// files writes a hundred files, walks them, and renames them.
func files(dir string) error {
	for i := 0; i < 100; i++ {
		sub := filepath.Join(dir, fmt.Sprint(i%10))
		if err := os.MkdirAll(sub, 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), []byte(fmt.Sprint(i)), 0o666); err != nil {
			return err
		}
	}
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || string(text) != d.Name() {
			return fmt.Errorf("%s holds %q (%v)", path, text, err)
		}
		n++
		return os.Rename(path, path+".moved")
	})
	if err != nil {
		return err
	}
	fmt.Printf("files: %d written, read, renamed and removed\n", n)
	return nil
}

// lines appends through a buffer, and reads line by line.
func lines(dir string) error {
	name := filepath.Join(dir, "log")
	for part := 0; part < 2; part++ {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(f)
		for i := 0; i < 500; i++ {
			fmt.Fprintf(w, "line %d\n", part*500+i)
		}
		if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); n++ {
		if s.Text() != fmt.Sprint("line ", n) {
			return fmt.Errorf("line %d is %q", n, s.Text())
		}
	}
	fmt.Printf("lines: %d written and read\n", n)
	return nil
}

// archives writes a zip file, and reads it back through its directory.
func archives(dir string) error {
	name, data := filepath.Join(dir, "a.zip"), bytes.Repeat([]byte("0123456789"), 1000)
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	z := zip.NewWriter(f)
	for _, member := range []string{"a", "b/c", "b/d"} {
		w, err := z.Create(member)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		return err
	}
	r, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer r.Close()
	total := 0
	for _, member := range r.File {
		m, err := member.Open()
		if err != nil {
			return err
		}
		got, err := io.ReadAll(m)
		if err != nil || !bytes.Equal(got, data) {
			return fmt.Errorf("%s: %d bytes (%v)", member.Name, len(got), err)
		}
		total += len(got)
	}
	fmt.Printf("zip: %d files, %d bytes\n", len(r.File), total)
	return nil
}

// records writes CSV to a file that is then renamed over another, and reads it.
func records(dir string) error {
	name := filepath.Join(dir, "r.csv")
	if err := os.WriteFile(name, []byte("old"), 0o666); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "r")
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	if err := errors.Join(w.WriteAll([][]string{{"a", "b,c"}, {"d\n", "\"e\""}}), f.Close(), os.Rename(f.Name(), name)); err != nil {
		return err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	got, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(got) != 2 || got[0][1] != "b,c" || got[1][1] != "\"e\"" {
		return fmt.Errorf("%q (%v)", got, err)
	}
	fmt.Printf("csv: %d records\n", len(got))
	return nil
}

// links makes links of both kinds, and looks through and at them.
func links(dir string) error {
	name, soft, hard := filepath.Join(dir, "f"), filepath.Join(dir, "soft"), filepath.Join(dir, "hard")
	if err := errors.Join(os.WriteFile(name, []byte("text"), 0o666), os.Symlink("f", soft), os.Link(name, hard)); err != nil {
		return err
	}
	target, err := os.Readlink(soft)
	if err != nil || target != "f" {
		return fmt.Errorf("readlink: %q (%v)", target, err)
	}
	at, err := os.Lstat(soft)
	if err != nil || at.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("lstat: %v (%v)", at, err)
	}
	one, err := os.Stat(soft)
	if err != nil {
		return err
	}
	two, err := os.Stat(hard)
	if err != nil || !os.SameFile(one, two) {
		return fmt.Errorf("stat: not the same file (%v)", err)
	}
	if err := os.Remove(soft); err != nil {
		return err
	}
	if _, err := os.Stat(soft); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("after removing: %v", err)
	}
	fmt.Println("links: followed, read and removed")
	return nil
}

// roots works through a directory that was opened for reading, and does not get out of it.
func roots(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir("a", 0o777); err != nil {
		return err
	}
	for _, text := range []string{"first, which is longer", "second"} {
		f, err := root.Create("a/f")
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Symlink("f", dir+"/a/l"), os.Symlink("../../in.txt", dir+"/a/out")); err != nil {
		return err
	}
	text, err := fs.ReadFile(root.FS(), "a/l")
	if err != nil {
		return err
	}
	for _, name := range []string{"../in.txt", "a/out", "/w/in.txt"} {
		if f, err := root.Open(name); err == nil {
			return fmt.Errorf("%s opened as %s", name, f.Name())
		}
	}
	fmt.Printf("root: %q\n", text)
	return root.Remove("a/f")
}

// checked has the standard library's own check of file systems look at some files.
func checked(dir string) error {
	names := []string{"one", "d/two", "d/e/three", "d/e/\u00fc"}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o666); err != nil {
			return err
		}
	}
	if err := fstest.TestFS(os.DirFS(dir), names...); err != nil {
		return err
	}
	fmt.Println("checked: as io/fs wants it")
	return nil
}
