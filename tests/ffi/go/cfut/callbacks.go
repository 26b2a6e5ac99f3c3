package cfut

// What C calls. Worker threads are foreign to Go: it attaches them for the call. No panic may
// leave a function here, for C frames cannot be unwound.

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/cgo"
	"unsafe"
)

//export cfutRun
func cfutRun(promise *C.cfut_promise, closure C.uintptr_t) C.int32_t {
	function := cgo.Handle(closure).Value().(func() error)
	return answer(promise, guarded(function))
}

//export cfutDrop
func cfutDrop(closure C.uintptr_t) { deleteHandle(cgo.Handle(closure)) }

//export cfutRunTask
func cfutRunTask(promise *C.cfut_promise, number C.int, data unsafe.Pointer, length C.size_t) C.int32_t {
	return answer(promise, guarded(func() error {
		result, err := tasks[number](goBytes(data, length))
		if err == nil && len(result) > 0 {
			C.cfut_promise_set_bytes(promise, unsafe.Pointer(&result[0]), C.size_t(len(result)))
		}
		return err
	}))
}

// guarded makes an error of a panic.
func guarded(function func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	return function()
}

func answer(promise *C.cfut_promise, err error) C.int32_t {
	if errors.Is(err, context.Canceled) {
		C.cfut_promise_set_cancelled(promise)
		return 0
	}
	if err != nil {
		message := C.CString(err.Error())
		defer C.free(unsafe.Pointer(message))
		C.cfut_promise_fail(promise, 1, message)
		return 1
	}
	return 0
}
