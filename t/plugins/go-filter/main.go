// A guest in Go, bound to ABI 0.2.1 by hand: what Go's own toolchain makes of a plugin.
//
// It adds the response header x-go with its configuration, and for each request writes a line to standard output: the
// request's header x-name, and how many bytes of response body went by.
package main

import (
	"fmt"
	"unsafe"
)

const (
	ok       = 0
	notFound = 1

	requestHeaders      = 0
	responseHeaders     = 2
	pluginConfiguration = 7
)

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(buffer, start, maxSize uint32, data, size *uint32) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeaderMapValue(fields uint32, key string, data, size *uint32) uint32

//go:wasmimport env proxy_add_header_map_value
func proxyAddHeaderMapValue(fields uint32, key, value string) uint32

type stream struct {
	root uint32
	name string
	body uint32
}

var (
	configurations = map[uint32]string{}
	streams        = map[uint32]*stream{}
	// What the host had allocated and nothing has taken yet; the collector would free it under the host's hands.
	allocated = map[uint32][]byte{}
)

// A reactor: the runtime is started by _initialize, and main never runs.
func main() {}

// Takes the bytes that a hostcall returned.
func take(data, size uint32) string {
	bytes := allocated[data]
	delete(allocated, data)
	return string(bytes[:size])
}

func check(status uint32) {
	if status != ok {
		panic(fmt.Sprint("unexpected status: ", status))
	}
}

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func onMemoryAllocate(size uint32) uint32 {
	bytes := make([]byte, max(size, 1))
	data := uint32(uintptr(unsafe.Pointer(&bytes[0])))
	allocated[data] = bytes
	return data
}

//go:wasmexport proxy_on_context_create
func onContextCreate(id, parent uint32) {
	if parent != 0 {
		streams[id] = &stream{root: parent}
	}
}

//go:wasmexport proxy_on_vm_start
func onVMStart(_, _ uint32) uint32 {
	return 1
}

//go:wasmexport proxy_on_configure
func onConfigure(id, size uint32) uint32 {
	if size > 0 {
		var data, length uint32
		check(proxyGetBufferBytes(pluginConfiguration, 0, size, &data, &length))
		configurations[id] = take(data, length)
	}
	return 1
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, _, _ uint32) uint32 {
	var data, size uint32
	switch status := proxyGetHeaderMapValue(requestHeaders, "x-name", &data, &size); status {
	case ok:
		streams[id].name = take(data, size)
	case notFound:
		streams[id].name = "nobody"
	default:
		check(status)
	}
	return 0
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, _, _ uint32) uint32 {
	check(proxyAddHeaderMapValue(responseHeaders, "x-go", configurations[streams[id].root]))
	return 0
}

//go:wasmexport proxy_on_response_body
func onResponseBody(id, size, _ uint32) uint32 {
	streams[id].body += size
	return 0
}

//go:wasmexport proxy_on_done
func onDone(_ uint32) uint32 {
	return 1
}

//go:wasmexport proxy_on_log
func onLog(id uint32) {
	if stream, found := streams[id]; found {
		fmt.Printf("go-filter: %s got %d bytes\n", stream.name, stream.body)
	}
}

//go:wasmexport proxy_on_delete
func onDelete(id uint32) {
	delete(streams, id)
	delete(configurations, id)
}
