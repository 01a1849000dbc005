// Does what its configuration says, one word: nothing; add adds the response header hello: world; read reads all request headers. Go's
// own toolchain, bound to ABI 0.2.1 by hand; like the SDK for Go it keeps a context for each request.
package main

import (
	"encoding/binary"
	"unsafe"
)

const (
	requestHeaders      = 0
	responseHeaders     = 2
	pluginConfiguration = 7
)

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(buffer, start, maxSize uint32, data, size *uint32) uint32

//go:wasmimport env proxy_get_header_map_pairs
func proxyGetHeaderMapPairs(fields uint32, data, size *uint32) uint32

//go:wasmimport env proxy_add_header_map_value
func proxyAddHeaderMapValue(fields uint32, key, value string) uint32

type stream struct {
	work string
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
func take(data, size uint32) []byte {
	bytes := allocated[data]
	delete(allocated, data)
	return bytes[:size]
}

func check(status uint32) {
	if status != 0 {
		panic("unexpected status")
	}
}

// The headers of a serialized map.
func headers(bytes []byte) [][2]string {
	number := func() (value uint32) {
		value, bytes = binary.LittleEndian.Uint32(bytes), bytes[4:]
		return value
	}
	all := make([][2]string, number())
	sizes := make([]uint32, 2*len(all))
	for i := range sizes {
		sizes[i] = number()
	}
	for i, size := range sizes {
		all[i/2][i%2] = string(bytes[:size])
		bytes = bytes[size+1:]
	}
	return all
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
		streams[id] = &stream{work: configurations[parent]}
	}
}

//go:wasmexport proxy_on_configure
func onConfigure(id, size uint32) uint32 {
	var data, length uint32
	check(proxyGetBufferBytes(pluginConfiguration, 0, size, &data, &length))
	work := string(take(data, length))
	configurations[id] = work
	if work == "nothing" || work == "add" || work == "read" {
		return 1
	}
	return 0
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, _, _ uint32) uint32 {
	if streams[id].work == "read" {
		var data, size uint32
		check(proxyGetHeaderMapPairs(requestHeaders, &data, &size))
		if len(headers(take(data, size))) == 0 {
			panic("no headers")
		}
	}
	return 0
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, _, _ uint32) uint32 {
	if streams[id].work == "add" {
		check(proxyAddHeaderMapValue(responseHeaders, "hello", "world"))
	}
	return 0
}

//go:wasmexport proxy_on_done
func onDone(_ uint32) uint32 {
	return 1
}

//go:wasmexport proxy_on_log
func onLog(_ uint32) {}

//go:wasmexport proxy_on_delete
func onDelete(id uint32) {
	delete(streams, id)
	delete(configurations, id)
}
