// A guest in C, for ABI 0.2.0. It exports malloc in place of proxy_on_memory_allocate, as plugins in C and C++ do.
//
// It logs the property request.path, adds the response header x-c with its configuration, turns the response's body into
// capital letters, and logs how many bytes that were.

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define ENV(name) __attribute__((import_module("env"), import_name(#name)))

enum { OK = 0 };
enum { CONTINUE = 0 };
enum { INFO = 2 };
enum { RESPONSE_BODY = 1, PLUGIN_CONFIGURATION = 7 };
enum { RESPONSE_HEADERS = 2 };

ENV(proxy_log) uint32_t proxy_log(uint32_t level, const char *message, size_t size);
ENV(proxy_get_property) uint32_t proxy_get_property(const char *path, size_t path_size, char **value, size_t *size);
ENV(proxy_get_buffer_bytes)
uint32_t proxy_get_buffer_bytes(uint32_t buffer, size_t start, size_t max_size, char **value, size_t *size);
ENV(proxy_set_buffer_bytes)
uint32_t proxy_set_buffer_bytes(uint32_t buffer, size_t start, size_t size, const char *value, size_t value_size);
ENV(proxy_add_header_map_value)
uint32_t proxy_add_header_map_value(uint32_t map, const char *key, size_t key_size, const char *value, size_t size);

static char *configuration;
static size_t configuration_size;
// Streams take turns in an instance only between callbacks, and one is enough for a test.
static size_t capitals;

static void check(uint32_t status) {
    if (status != OK) {
        abort();
    }
}

EXPORT(proxy_abi_version_0_2_0) void proxy_abi_version_0_2_0(void) {}

EXPORT(proxy_on_configure) uint32_t proxy_on_configure(uint32_t id, size_t size) {
    (void)id;
    free(configuration);
    configuration = NULL;
    configuration_size = 0;
    if (size > 0) {
        check(proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, &configuration, &configuration_size));
    }
    return 1;
}

EXPORT(proxy_on_request_headers) uint32_t proxy_on_request_headers(uint32_t id, size_t count, uint32_t end_of_stream) {
    static const char path[] = "request\0path";
    char *value = NULL;
    size_t size = 0;
    char message[512];
    (void)end_of_stream;

    check(proxy_get_property(path, sizeof path - 1, &value, &size));
    int length = snprintf(message, sizeof message, "c-filter: context %u: %zu headers, path %.*s", id, count, (int)size, value);
    if (length >= (int)sizeof message) {
        length = sizeof message - 1;
    }
    check(proxy_log(INFO, message, length));
    free(value);
    capitals = 0;
    return CONTINUE;
}

EXPORT(proxy_on_response_headers)
uint32_t proxy_on_response_headers(uint32_t id, size_t count, uint32_t end_of_stream) {
    (void)id, (void)count, (void)end_of_stream;
    check(proxy_add_header_map_value(RESPONSE_HEADERS, "x-c", 3, configuration, configuration_size));
    return CONTINUE;
}

EXPORT(proxy_on_response_body) uint32_t proxy_on_response_body(uint32_t id, size_t body_size, uint32_t end_of_stream) {
    char *body = NULL;
    size_t size = 0;
    (void)id, (void)end_of_stream;

    if (body_size == 0) {
        return CONTINUE;
    }
    check(proxy_get_buffer_bytes(RESPONSE_BODY, 0, body_size, &body, &size));
    for (size_t at = 0; at < size; at++) {
        body[at] = toupper((unsigned char)body[at]);
    }
    check(proxy_set_buffer_bytes(RESPONSE_BODY, 0, size, body, size));
    capitals += size;
    free(body);
    return CONTINUE;
}

EXPORT(proxy_on_log) void proxy_on_log(uint32_t id) {
    (void)id;
    // By WASI's fd_write.
    printf("c-filter: %zu bytes in capitals\n", capitals);
    fflush(stdout);
}
