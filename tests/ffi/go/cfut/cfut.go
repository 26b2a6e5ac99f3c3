// Package cfut runs Go functions and named tasks on the pools of libcfutures.
//
// A future's outcome reaches Go through one completion queue for each pool, on which one goroutine
// waits (dispatch). It copies the outcome and releases what is C's, so a Future holds nothing that
// has to be closed, and any number of goroutines can wait for theirs without an OS thread each.
package cfut

/*
#cgo LDFLAGS: -lcfutures
#include "bridge.h"
*/
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Status is what a call of the library answered, or how a task ended.
type Status int32

// How a task can end, other than well.
const (
	Cancelled Status = C.CFUT_CANCELLED
	Failed    Status = C.CFUT_FAILED
	Crashed   Status = C.CFUT_CRASHED
	Expired   Status = C.CFUT_EXPIRED
	Broken    Status = C.CFUT_BROKEN
)

func (s Status) String() string { return C.GoString(C.cfut_status_name(C.cfut_status(s))) }

// Error is a call that was refused, or a task without a result.
type Error struct {
	Status  Status
	Code    int32 // what the task failed with
	Message string
}

func (e *Error) Error() string {
	if e.Status == Failed {
		return fmt.Sprintf("%v %d: %s", e.Status, e.Code, e.Message)
	}
	return fmt.Sprintf("%v: %s", e.Status, e.Message)
}

// Is makes errors.Is(err, context.Canceled) and context.DeadlineExceeded work.
func (e *Error) Is(target error) bool {
	return target == context.Canceled && e.Status == Cancelled ||
		target == context.DeadlineExceeded && e.Status == Expired
}

// checked makes an error of a negative status. The text belongs to the OS thread that made the
// call, and a goroutine may change its thread between two calls: so both are made in one piece.
func checked(call func() C.cfut_status) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := call()
	if status >= 0 && status != C.CFUT_BROKEN {
		return nil
	}
	var text [512]C.char
	C.cfut_last_error(&text[0], C.size_t(len(text)))
	return &Error{Status: Status(status), Message: C.GoString(&text[0])}
}

// C keeps numbers that stand for Go values (cgo.Handle), never pointers to them.
var handles atomic.Int64

func newHandle(value any) C.uint64_t {
	handles.Add(1)
	return C.uint64_t(cgo.NewHandle(value))
}

func deleteHandle(handle cgo.Handle) {
	handle.Delete()
	handles.Add(-1)
}

// Handles is how many Go values the library still has; 0 when nothing is outstanding.
func Handles() int64 { return handles.Load() }

// Options of a pool; zero values are the library's defaults.
type Options struct {
	Workers int
	Name    string
	// Process pools: the program that runs the tasks, and its arguments. It calls RunWorker.
	// Without one, cfutures-worker runs tasks of shared objects.
	WorkerProgram   string
	WorkerArguments []string
}

// Pool is an executor: threads of this process, or worker processes.
type Pool struct {
	executor *C.cfut_executor
	queue    *C.cfut_queue
	keeper   *C.cfut_promise // in the queue, so that it never ends before Close
	finished chan struct{}
}

// NewThreadPool makes a pool of threads, for functions (Go) and named tasks (Call).
func NewThreadPool(options Options) (*Pool, error) {
	return newPool(options, func(o *C.cfut_options, p *Pool) error {
		return checked(func() C.cfut_status { return C.cfut_thread_pool_new(o, &p.executor) })
	})
}

// NewProcessPool makes a pool of processes, for named tasks: a crash costs the task that crashed.
func NewProcessPool(options Options) (*Pool, error) {
	return newPool(options, func(o *C.cfut_options, p *Pool) error {
		return checked(func() C.cfut_status { return C.cfut_process_pool_new(o, &p.executor) })
	})
}

func newPool(options Options, create func(*C.cfut_options, *Pool) error) (*Pool, error) {
	built, err := options.build()
	defer C.cfut_options_free(built)
	if err != nil {
		return nil, err
	}
	p := &Pool{finished: make(chan struct{})}
	var never *C.cfut_future
	err = checked(func() C.cfut_status { return C.cfut_queue_new(&p.queue) })
	if err == nil {
		err = checked(func() C.cfut_status { return C.cfut_promise_new(&p.keeper, &never) })
	}
	if err == nil {
		err = checked(func() C.cfut_status { return C.cfut_queue_add(p.queue, never, 0) })
	}
	C.cfut_future_release(never)
	if err == nil {
		err = create(built, p)
	}
	if err != nil {
		p.release()
		return nil, err
	}
	go p.dispatch()
	return p, nil
}

func (o Options) build() (*C.cfut_options, error) {
	built := C.cfut_options_new()
	var failure error
	try := func(set func() C.cfut_status) {
		if failure == nil {
			failure = checked(set)
		}
	}
	text := func(value string, set func(*C.char) C.cfut_status) {
		word := C.CString(value)
		defer C.free(unsafe.Pointer(word))
		try(func() C.cfut_status { return set(word) })
	}
	if o.Workers != 0 {
		try(func() C.cfut_status {
			return C.cfut_options_set(built, C.CFUT_OPT_WORKERS, C.int64_t(o.Workers))
		})
	}
	if o.Name != "" {
		text(o.Name, func(word *C.char) C.cfut_status {
			return C.cfut_options_set_text(built, C.CFUT_OPT_NAME, word)
		})
	}
	if o.WorkerProgram != "" {
		text(o.WorkerProgram, func(word *C.char) C.cfut_status {
			return C.cfut_options_set_text(built, C.CFUT_OPT_WORKER_PROGRAM, word)
		})
	}
	for _, argument := range o.WorkerArguments {
		text(argument, func(word *C.char) C.cfut_status {
			return C.cfut_options_add_worker_arg(built, word)
		})
	}
	return built, failure
}

func (p *Pool) release() {
	C.cfut_executor_release(p.executor)
	C.cfut_promise_release(p.keeper)
	C.cfut_queue_release(p.queue)
}

// Close takes no more work, waits until all that was accepted has ended, and releases the pool.
func (p *Pool) Close() error {
	err := checked(func() C.cfut_status {
		return C.cfut_executor_shutdown(p.executor, 0, C.CFUT_FOREVER)
	})
	// Comes out of the queue behind all the others, and ends dispatch.
	C.cfut_promise_set_bytes(p.keeper, nil, 0)
	<-p.finished
	p.release()
	return err
}

func (p *Pool) dispatch() {
	defer close(p.finished)
	for {
		var future *C.cfut_future
		var tag C.uint64_t
		if C.cfut_queue_next(p.queue, C.CFUT_FOREVER, &future, &tag) != C.CFUT_OK {
			return
		}
		if tag != 0 {
			handle := cgo.Handle(tag)
			handle.Value().(settler).settle(future)
			deleteHandle(handle)
		}
		C.cfut_future_release(future)
		if tag == 0 {
			return
		}
	}
}

// settler is a Future of whatever type.
type settler interface{ settle(*C.cfut_future) }

// Future is the outcome of a task, to come.
type Future[T any] struct {
	done chan struct{}
	stop context.CancelFunc // tells a Go function, which cannot see the library's stop flag

	fill  func(*C.cfut_future) (T, error) // the value, or the error of a Go function
	value T
	err   error

	lock    sync.Mutex
	running *C.cfut_future // nil once it is settled
}

// submit has the library accept a task; ctx governs the task, not the wait.
func submit[T any](ctx context.Context, p *Pool, f *Future[T],
	accept func(**C.cfut_future) C.cfut_status) (*Future[T], error) {
	f.done = make(chan struct{})
	var future *C.cfut_future // C must not see &f.running: there are Go pointers beside it
	err := checked(func() C.cfut_status { return accept(&future) })
	if err != nil {
		f.stop()
		return nil, err
	}
	f.running = future
	tag := newHandle(f)
	err = checked(func() C.cfut_status { return C.cfut_queue_add(p.queue, future, tag) })
	if err != nil {
		deleteHandle(cgo.Handle(tag))
		C.cfut_future_release(future)
		f.stop()
		return nil, err
	}
	if ctx.Done() != nil {
		go func() {
			select {
			case <-ctx.Done():
				f.Cancel()
			case <-f.done:
			}
		}()
	}
	return f, nil
}

func (f *Future[T]) settle(future *C.cfut_future) {
	if status := C.cfut_future_wait(future, C.CFUT_NOW); status == C.CFUT_OK {
		f.value, f.err = f.fill(future)
	} else {
		f.err = &Error{
			Status:  Status(status),
			Code:    int32(C.cfut_future_code(future)),
			Message: C.GoString(C.cfut_future_message(future)),
		}
		// A Go function's own error is better than the text made of it.
		if _, err := f.fill(future); err != nil && status == C.CFUT_FAILED {
			f.err = err
		}
	}
	f.lock.Lock()
	C.cfut_future_release(f.running)
	f.running = nil
	f.lock.Unlock()
	f.stop() // frees what the context holds
	close(f.done)
}

// Done is closed when the task has ended: for select.
func (f *Future[T]) Done() <-chan struct{} { return f.done }

// Get waits for the outcome. The end of ctx ends the wait, not the task: see Cancel.
func (f *Future[T]) Get(ctx context.Context) (T, error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// Cancel keeps a task from starting, asks one that runs to stop, and kills a worker process whose
// task does not heed that.
func (f *Future[T]) Cancel() {
	f.stop()
	f.lock.Lock()
	future := C.cfut_future_retain(f.running)
	f.lock.Unlock()
	if future != nil {
		C.cfut_future_cancel(future, C.CFUT_CANCEL_KILL)
		C.cfut_future_release(future)
	}
}

// AsCompleted gives the futures in the order they end.
func AsCompleted[T any](futures ...*Future[T]) <-chan *Future[T] {
	ended := make(chan *Future[T], len(futures))
	var all sync.WaitGroup
	all.Add(len(futures))
	for _, f := range futures {
		go func(f *Future[T]) {
			<-f.done
			ended <- f
			all.Done()
		}(f)
	}
	go func() {
		all.Wait()
		close(ended)
	}()
	return ended
}

// Task names what Call runs: "module.so:symbol", or a name that a worker program has registered.
type Task struct {
	Name       string
	RunTimeout time.Duration // none if 0; what takes longer is Expired
}

// Call runs a named task on data. The end of ctx cancels it.
func (p *Pool) Call(ctx context.Context, task Task, data []byte) (*Future[[]byte], error) {
	name := C.CString(task.Name)
	defer C.free(unsafe.Pointer(name))
	var built *C.cfut_task
	err := checked(func() C.cfut_status { return C.cfut_task_new_named(name, &built) })
	defer C.cfut_task_free(built)
	if err == nil && task.RunTimeout != 0 {
		timeout := C.int64_t(task.RunTimeout.Nanoseconds())
		err = checked(func() C.cfut_status {
			return C.cfut_task_set(built, C.CFUT_TASK_RUN_TIMEOUT_NS, timeout)
		})
	}
	if err != nil {
		return nil, err
	}
	return submit(ctx, p, &Future[[]byte]{fill: resultBytes, stop: func() {}}, func(future **C.cfut_future) C.cfut_status {
		var first unsafe.Pointer
		if len(data) > 0 {
			first = unsafe.Pointer(&data[0])
		}
		return C.cfut_submit_task(p.executor, built, first, C.size_t(len(data)), future)
	})
}

func resultBytes(future *C.cfut_future) ([]byte, error) {
	var length C.size_t
	return goBytes(C.cfut_future_bytes(future, &length), length), nil
}

// goBytes is C.GoBytes without its limit of 2 GiB.
func goBytes(data unsafe.Pointer, length C.size_t) []byte {
	return append([]byte{}, unsafe.Slice((*byte)(data), int(length))...)
}

// Go runs a function on a thread of a thread pool. ctx is what the function gets: its end keeps
// the function from starting, and it is up to the function to look at it later.
func Go[T any](ctx context.Context, p *Pool, function func(context.Context) (T, error)) (*Future[T], error) {
	f := &Future[T]{}
	var value T
	var failure error
	f.fill = func(*C.cfut_future) (T, error) { return value, failure }
	inner, stop := context.WithCancel(ctx)
	f.stop = stop
	handle := newHandle(func() error {
		if failure = inner.Err(); failure == nil {
			value, failure = function(inner)
		}
		return failure
	})
	return submit(ctx, p, f, func(future **C.cfut_future) C.cfut_status {
		return C.bridge_submit(p.executor, handle, future) // moves the handle
	})
}
