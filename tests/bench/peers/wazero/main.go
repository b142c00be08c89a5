// wazero CACHE COUNT FILE.wasm [ARGUMENT...]: runs a WASI program by wazero, compiled code kept in CACHE.
//
// COUNT 0: once, as a command; its output is this command's. Else COUNT times in this process, output thrown away, and
// one JSON object with each time in us, from instantiation to the end.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

func runOnce(runtime wazero.Runtime, module wazero.CompiledModule, arguments []string, output io.Writer) error {
	config := wazero.NewModuleConfig().WithName("").WithArgs(arguments...).WithStdout(output).WithStderr(os.Stderr).
		WithSysWalltime().WithSysNanotime().WithRandSource(rand.Reader)
	instance, err := runtime.InstantiateModule(context.Background(), module, config)
	var exit *sys.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 0 {
		err = nil
	}
	if instance != nil {
		instance.Close(context.Background())
	}
	return err
}

func measure(cache string, count int, path string, arguments []string) error {
	ctx := context.Background()
	wasm, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	compiled, err := wazero.NewCompilationCacheWithDir(cache)
	if err != nil {
		return err
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(compiled))
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	module, err := runtime.CompileModule(ctx, wasm)
	if err != nil {
		return err
	}
	if count == 0 {
		return runOnce(runtime, module, arguments, os.Stdout)
	}
	times := []float64{}
	for range count {
		began := time.Now()
		if err := runOnce(runtime, module, arguments, io.Discard); err != nil {
			return err
		}
		times = append(times, float64(time.Since(began).Nanoseconds())/1e3)
	}
	return json.NewEncoder(os.Stdout).Encode(times)
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: wazero CACHE COUNT FILE.wasm [ARGUMENT...]")
		os.Exit(2)
	}
	count, err := strconv.Atoi(os.Args[2])
	if err == nil {
		err = measure(os.Args[1], count, os.Args[3], os.Args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wazero:", err)
		os.Exit(1)
	}
}
