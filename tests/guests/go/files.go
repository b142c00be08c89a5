// What the Go guest does when its first argument is "files".
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// files writes a hundred files below /w, walks them, renames and removes them.
func files() error {
	dir, err := os.MkdirTemp("/w", "go")
	if err != nil {
		return err
	}
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
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
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
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	fmt.Printf("files: %d written, read, renamed and removed\n", n)
	return nil
}
