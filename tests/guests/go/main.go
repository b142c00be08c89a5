// The Go guest of the scenario tests: greets, and counts the words of its standard input.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "files" {
		if err := work(); err != nil {
			fmt.Println(err)
		}
		return
	}
	words := 0
	in := bufio.NewScanner(os.Stdin)
	in.Split(bufio.ScanWords)
	for in.Scan() {
		words++
	}
	fmt.Println("hello from Go on", runtime.GOOS+"/"+runtime.GOARCH)
	fmt.Println("arguments:", os.Args[1:])
	fmt.Println("words:", words)
	if _, err := os.Open("/etc/passwd"); err != nil {
		fmt.Println("no files here")
	}
	done := make(chan int)
	go func() { done <- 6 * 7 }()
	fmt.Println("answer:", <-done)
	if words == 0 {
		os.Exit(3)
	}
}
