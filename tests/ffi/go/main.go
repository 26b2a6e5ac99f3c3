// A host in Go: functions on a pool of threads, named tasks on threads and in processes, and worker
// processes that are this program itself. CFUT_TASKS is the shared object made of tasks.c.
//
//	export CGO_CFLAGS=-I../../../include CGO_LDFLAGS=-L../../../target/release
//	go build -o host
//	CFUT_TASKS=./tasks.so LD_LIBRARY_PATH=../../../target/release ./host
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"strings"
	"time"

	"cfutures.example/cfut"
)

var background = context.Background()

func main() {
	log.SetFlags(0)
	if len(os.Args) == 2 && os.Args[1] == "--worker" {
		work()
		return
	}
	onThreads()
	stopping()
	asCompleted()
	inProcesses()
	inGoProcesses()
	manyTasks()
	fmt.Println("ok")
}

// show prints a line, and ends the program if it is not the one that was expected.
func show[T comparable](what string, got, wanted T) {
	fmt.Printf("%s: %v\n", what, got)
	if got != wanted {
		log.Fatalf("%s: wanted %v", what, wanted)
	}
}

// must is for errors that nothing is expected to make.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// result waits for the end of a task that is to succeed; failure is for the others.
func result[T any](future *cfut.Future[T], err error) T {
	return must(must(future, err).Get(background))
}

func failure[T any](future *cfut.Future[T], err error) error {
	_, err = must(future, err).Get(background)
	return err
}

func status(err error) cfut.Status {
	var failed *cfut.Error
	if !errors.As(err, &failed) {
		log.Fatalf("no error of a task: %v", err)
	}
	return failed.Status
}

// ---- arguments and results of tasks.c ----

func task(symbol string) cfut.Task {
	return cfut.Task{Name: os.Getenv("CFUT_TASKS") + ":" + symbol}
}

// bytes is how those tasks get their argument: an int64_t.
func bytes(n int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }

func number(data []byte) int64 { return int64(binary.LittleEndian.Uint64(data)) }

// ---- what there is to see ----

func onThreads() {
	pool := must(cfut.NewThreadPool(cfut.Options{Workers: 4, Name: "go"}))
	defer pool.Close()

	show("square of 12", number(result(pool.Call(background, task("square"), bytes(12)))), 144)
	show("a failure", failure(pool.Call(background, task("fail"), []byte("no such café"))).Error(),
		"CFUT_FAILED 42: no such café")
	_, err := pool.Call(background, cfut.Task{Name: "nobody"}, nil)
	show("an unknown task", status(err).String(), "CFUT_ENOENT")

	hello := "hello"
	show("a function", result(cfut.Go(background, pool, func(context.Context) (string, error) {
		return strings.ToUpper(hello), nil
	})), "HELLO")
	err = failure(cfut.Go(background, pool, func(context.Context) (*os.File, error) {
		return os.Open("/nonexistent")
	}))
	show("its own error", errors.Is(err, fs.ErrNotExist), true)
	err = failure(cfut.Go(background, pool, func(context.Context) (int, error) {
		panic("out of ideas")
	}))
	show("a panic", err.Error(), "CFUT_FAILED 1: panic: out of ideas")
}

func stopping() {
	pool := must(cfut.NewThreadPool(cfut.Options{Workers: 4, Name: "go"}))
	defer pool.Close()

	// The end of a wait's context leaves the task alone; the end of its own does not.
	running, stop := context.WithCancel(background)
	defer stop()
	lingering := must(pool.Call(running, task("linger"), nil))
	short, done := context.WithTimeout(background, 20*time.Millisecond)
	defer done()
	_, err := lingering.Get(short)
	show("time-out of a wait", errors.Is(err, context.DeadlineExceeded), true)
	stop()
	err = failure(lingering, nil)
	show("cancelled by its context", status(err).String(), "CFUT_CANCELLED")
	show("which is context.Canceled", errors.Is(err, context.Canceled), true)

	function := must(cfut.Go(background, pool, func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}))
	function.Cancel()
	show("a function that is cancelled", errors.Is(failure(function, nil), context.Canceled), true)

	limited := task("linger")
	limited.RunTimeout = 20 * time.Millisecond
	err = failure(pool.Call(background, limited, nil))
	show("time-out of a task", status(err).String(), "CFUT_EXPIRED")
	show("which is context.DeadlineExceeded", errors.Is(err, context.DeadlineExceeded), true)
}

func asCompleted() {
	pool := must(cfut.NewThreadPool(cfut.Options{Workers: 4, Name: "go"}))
	defer pool.Close()
	futures := []*cfut.Future[[]byte]{}
	for n := int64(1); n <= 5; n++ {
		futures = append(futures, must(pool.Call(background, task("square"), bytes(n))))
	}
	sum := int64(0)
	for future := range cfut.AsCompleted(futures...) {
		sum += number(result(future, nil))
	}
	show("as completed, a sum", sum, 55)
}

func inProcesses() {
	pool := must(cfut.NewProcessPool(cfut.Options{Workers: 2, Name: "go"}))
	defer pool.Close()
	show("in a process", number(result(pool.Call(background, task("square"), bytes(12)))), 144)
	err := failure(pool.Call(background, task("crash"), nil))
	show("a crash", status(err).String(), "CFUT_CRASHED")
	show("by", strings.Contains(err.Error(), "SIGSEGV"), true)
	show("the pool goes on", number(result(pool.Call(background, task("square"), bytes(13)))), 169)
}

// work is what this program does as a worker of inGoProcesses.
func work() {
	for name, function := range map[string]func([]byte) ([]byte, error){
		"reverse": func(data []byte) ([]byte, error) {
			letters := []rune(string(data))
			for i, j := 0, len(letters)-1; i < j; i, j = i+1, j-1 {
				letters[i], letters[j] = letters[j], letters[i]
			}
			return []byte(string(letters)), nil
		},
		"refuse": func(data []byte) ([]byte, error) { return nil, fmt.Errorf("%q is not wanted", data) },
		"leave":  func([]byte) ([]byte, error) { os.Exit(3); return nil, nil },
	} {
		must(0, cfut.Register(name, function))
	}
	must(0, cfut.RunWorker())
}

func inGoProcesses() {
	pool := must(cfut.NewProcessPool(cfut.Options{
		Workers: 2, Name: "go",
		WorkerProgram: must(os.Executable()), WorkerArguments: []string{"--worker"},
	}))
	defer pool.Close()
	call := func(name, text string) (*cfut.Future[[]byte], error) {
		return pool.Call(background, cfut.Task{Name: name}, []byte(text))
	}
	show("reversed in Go", string(result(call("reverse", "Grüße"))), "eßürG")
	show("an error in Go", failure(call("refuse", "it")).Error(), `CFUT_FAILED 1: "it" is not wanted`)
	show("a worker that leaves", status(failure(call("leave", ""))).String(), "CFUT_CRASHED")
	show("another one", string(result(call("reverse", "abc"))), "cba")
}

// manyTasks shows that nothing stays behind.
func manyTasks() {
	threads := must(cfut.NewThreadPool(cfut.Options{Workers: 4, Name: "go"}))
	processes := must(cfut.NewProcessPool(cfut.Options{Workers: 2, Name: "go"}))
	differences, before := int64(0), int64(0)
	for round := 0; round < 10; round++ {
		named, functions := []*cfut.Future[[]byte]{}, []*cfut.Future[int64]{}
		for n := int64(0); n < 1000; n++ {
			n := n
			named = append(named, must(processes.Call(background, task("square"), bytes(n))))
			functions = append(functions, must(cfut.Go(background, threads,
				func(context.Context) (int64, error) { return n * n, nil })))
		}
		for i := range named {
			differences += number(result(named[i], nil)) - result(functions[i], nil)
		}
		if round == 4 {
			before = residentKiB()
		}
	}
	must(0, threads.Close())
	must(0, processes.Close())
	show("10000 tasks on each, differences", differences, 0)
	show("handles left", cfut.Handles(), 0)
	show("grown by less than 64 MiB", residentKiB()-before < 64<<10, true)
}

func residentKiB() (kib int64) {
	_, line, _ := strings.Cut(string(must(os.ReadFile("/proc/self/status"))), "VmRSS:")
	must(fmt.Sscan(line, &kib))
	return kib
}
