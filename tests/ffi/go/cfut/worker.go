package cfut

// #include "bridge.h"
import "C"

import (
	"errors"
	"os"
	"runtime"
	"unsafe"
)

var tasks []func([]byte) ([]byte, error)

// A worker's tasks run in the thread that calls RunWorker, which is to be the main one.
func init() {
	if os.Getenv("CFUT_WORKER") != "" {
		runtime.LockOSThread()
	}
}

// Register gives a function a name that the pools of other programs call it by.
func Register(name string, function func([]byte) ([]byte, error)) error {
	if len(tasks) == C.BRIDGE_TASKS {
		return errors.New("cfut.Register: " + name + ": there are no more functions in bridge.c")
	}
	tasks = append(tasks, function)
	word := C.CString(name)
	defer C.free(unsafe.Pointer(word))
	return checked(func() C.cfut_status {
		return C.bridge_register(word, C.int(len(tasks)-1))
	})
}

// RunWorker runs the tasks of the pool that has started this process, and returns when it shall
// end.
func RunWorker() error {
	return checked(func() C.cfut_status { return C.cfut_worker_run() })
}
