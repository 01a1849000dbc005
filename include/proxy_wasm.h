// The C ABI of libresty_proxy_wasm.so. Generated from src/capi by `make header`.

#pragma once

#include <stddef.h>

// The plugin exports `proxy_on_request_headers`.
#define FLAG_REQUEST_HEADERS 1

// The plugin exports `proxy_on_request_body`.
#define FLAG_REQUEST_BODY 2

// The plugin exports `proxy_on_response_headers`.
#define FLAG_RESPONSE_HEADERS 4

// The plugin exports `proxy_on_response_body`.
#define FLAG_RESPONSE_BODY 8

// The plugin could change a body.
#define FLAG_SETS_BODY 16

// Another body goes on than came: `body`.
#define OUTCOME_BODY 1

// Nothing goes on now: the plugin waits for more.
#define OUTCOME_HOLD 2

// A response was sent by the plugin: `status`, `headers`, `local_body`.
#define OUTCOME_LOCAL_RESPONSE 4

// The request is to be closed.
#define OUTCOME_CLOSE 8

// The request goes to another path: `path`, and `args` where `OUTCOME_ARGS` is set too.
#define OUTCOME_PATH 16

// See `OUTCOME_PATH`.
#define OUTCOME_ARGS 32

// The plugin holds the request.
#define OUTCOME_PAUSED 64

// `r` is none that a client made.
#define NO_REQUEST -2

// A plugin context, as C sees it.
typedef struct ProxyWasmContext ProxyWasmContext;

// A loaded plugin, as C sees it.
typedef struct ProxyWasmPlugin ProxyWasmPlugin;

// A string that crosses the boundary, either way.
typedef struct ProxyWasmStr {
  const char *data;
  size_t len;
} ProxyWasmStr;

// A header, or an option of a plugin, that crosses the boundary.
typedef struct ProxyWasmHeader {
  struct ProxyWasmStr name;
  struct ProxyWasmStr value;
} ProxyWasmHeader;

// What is left to do after a callback. Only what the function's answer names is valid, until the next call into the library.
typedef struct ProxyWasmOutcome {
  struct ProxyWasmStr body;
  struct ProxyWasmStr local_body;
  const struct ProxyWasmHeader *headers;
  size_t headers_len;
  struct ProxyWasmStr path;
  struct ProxyWasmStr args;
  int status;
  int grpc_status;
} ProxyWasmOutcome;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Makes a plugin context with a configuration (`proxy_on_context_create`, for the first in a VM `proxy_on_vm_start`, and
// `proxy_on_configure`).
//
// Returns 0 and the context in `*context`, to be freed with `proxy_wasm_context_free`; or -1 where the plugin trapped or refused, with
// the cause in nginx's error log.
//
// # Safety
// `plugin` came from `proxy_wasm_plugin_new`, `(config, config_len)` is a string, `context` is writable.
int proxy_wasm_context_new(const struct ProxyWasmPlugin *plugin,
                           const char *config,
                           size_t config_len,
                           struct ProxyWasmContext **context);

// Frees a plugin context. It ends in the plugin (`proxy_on_done`, `proxy_on_delete`) when the last request that it runs on has.
//
// # Safety
// `context` came from `proxy_wasm_context_new` and is not used again, or is null.
void proxy_wasm_context_free(struct ProxyWasmContext *context);

// What the context's plugin could do: as `proxy_wasm_plugin_flags`.
//
// # Safety
// `context` came from `proxy_wasm_context_new`.
int proxy_wasm_context_flags(const struct ProxyWasmContext *context);

// Finds the functions of nginx and lua-nginx-module that the library works through. To be called before any other, once in each Lua VM.
//
// `configuring` says that nginx is reading its configuration (`init_by_lua*`): then the library's body filter can be put in place.
//
// Returns 0, or -1.
//
// Errors: a function is missing; the text names it and says which versions have it.
//
// # Safety
// `errlen` points at the size of the writable buffer `errbuf`.
int proxy_wasm_init(int configuring,
                    char *errbuf,
                    size_t *errlen);

// Says what a directive would, where there is none: `wasm_vm` (`wasmtime` or `wasmedge`), `wasmedge_aot` (`auto`, `on` or `off`),
// `wasm_memory_limit` (a size: `64m`) or `wasm_deadline` (a time: `500ms`).
//
// Returns 0, or -1.
//
// Errors: a directive or word that there is not, an engine that cannot be used, or a word other than the directive's own.
//
// # Safety
// `(name, name_len)` and `(word, word_len)` are strings; `errlen` points at the size of the writable buffer `errbuf`.
int proxy_wasm_setting(const char *name,
                       size_t name_len,
                       const char *word,
                       size_t word_len,
                       char *errbuf,
                       size_t *errlen);

// The name of the engine that plugins are loaded on.
//
// Returns 0, and the name in `*name`, valid for ever.
//
// # Safety
// `name` is writable.
int proxy_wasm_engine_get(struct ProxyWasmStr *name);

// Loads a plugin from a `.wasm` or `.wat` file.
//
// `options` are `root_id`, `vm_config`, `vm_id`, and `env:NAME` for each environment variable; others are refused.
//
// Returns 0 and the plugin in `*plugin`, to be freed with `proxy_wasm_plugin_free`; or -1.
//
// Errors: the file cannot be read: the system's own message after its path; an unknown option; `failed to load wasm plugin` for
// anything else, with the cause in nginx's error log.
//
// # Safety
// Strings and `options` are valid for the call, `plugin` is writable, `errlen` points at the size of the writable buffer
// `errbuf`.
int proxy_wasm_plugin_new(const char *name,
                          size_t name_len,
                          const char *path,
                          size_t path_len,
                          const struct ProxyWasmHeader *options,
                          size_t options_len,
                          struct ProxyWasmPlugin **plugin,
                          char *errbuf,
                          size_t *errlen);

// Frees a plugin. What it owns stays until its last plugin context is gone.
//
// # Safety
// `plugin` came from `proxy_wasm_plugin_new` and is not used again, or is null.
void proxy_wasm_plugin_free(struct ProxyWasmPlugin *plugin);

// What the plugin could do, as a sum of: 1 it exports `proxy_on_request_headers`, 2 `proxy_on_request_body`, 4
// `proxy_on_response_headers`, 8 `proxy_on_response_body`, 16 it could change a body.
//
// # Safety
// `plugin` came from `proxy_wasm_plugin_new`.
int proxy_wasm_plugin_flags(const struct ProxyWasmPlugin *plugin);

// Describes a plugin: lines of `key=value`. Keys are `name`, `engine`, `code` (`compiled` or `interpreted`), `abi_version`, `size` (bytes
// of the file), `hash` (SHA-256 in hexadecimal), `root_id`, `contexts` (in the current VM), and, once for each, `export`, `import`
// (`module.name`) and `unknown_import`.
//
// Returns 0, and the text in `*info`, valid until the next call into the library.
//
// # Safety
// `plugin` came from `proxy_wasm_plugin_new`, `info` is writable.
int proxy_wasm_plugin_info(const struct ProxyWasmPlugin *plugin,
                           struct ProxyWasmStr *info);

// Runs `proxy_on_request_headers`.
//
// Returns a sum of the numbers below; or -1 where the plugin trapped, with the cause in nginx's error log; or -2 where `r` is none that a
// client made, as in timers.
// 4: a local response was sent, 8: the request is to be closed, 16: the path changed, 32: with it the arguments, 64: the plugin
// holds the request.
//
// # Safety
// `context` came from `proxy_wasm_context_new`, `r` is the `ngx_http_request_t` that runs, in a phase before its response, `outcome` is
// writable.
int proxy_wasm_stream_request_headers(const struct ProxyWasmContext *context,
                                      void *r,
                                      struct ProxyWasmOutcome *outcome);

// Runs `proxy_on_request_body` with the next piece of the body. A null `body` means that there is none to show; an empty one is
// shown.
//
// Returns as `proxy_wasm_stream_request_headers`, with 1: `outcome->body` goes on instead, 2: nothing goes on now. After -1,
// `outcome->body` is what was held back before, null where nothing was.
//
// # Safety
// As `proxy_wasm_stream_request_headers`; `(body, body_len)` is a string.
int proxy_wasm_stream_request_body(const struct ProxyWasmContext *context,
                                   void *r,
                                   const char *body,
                                   size_t body_len,
                                   int end_of_stream,
                                   struct ProxyWasmOutcome *outcome);

// Runs `proxy_on_response_headers`. `response_headers` are all headers of the response; null where nothing but plugins has changed them
// since the last call for this request, and for a plugin whose flags lack 4.
//
// Returns as `proxy_wasm_stream_request_headers`.
//
// # Safety
// As `proxy_wasm_stream_request_headers`, in the header filter; the headers are valid for the call.
int proxy_wasm_stream_response_headers(const struct ProxyWasmContext *context,
                                       void *r,
                                       const struct ProxyWasmHeader *response_headers,
                                       size_t response_headers_len,
                                       struct ProxyWasmOutcome *outcome);

// Runs `proxy_on_response_body` with the next piece of the body.
//
// Returns as `proxy_wasm_stream_request_body`.
//
// # Safety
// As `proxy_wasm_stream_request_headers`, in the body filter; `(body, body_len)` is a string.
int proxy_wasm_stream_response_body(const struct ProxyWasmContext *context,
                                    void *r,
                                    const char *body,
                                    size_t body_len,
                                    int end_of_stream,
                                    struct ProxyWasmOutcome *outcome);

// No plugin sees more of the request `r`, but for its end: all that runs on it answers 0 from now on.
void proxy_wasm_request_bypass(void *r);

// Keeps the body of a local response from a response phase: the library's own body filter sends it in the place of the response's, and
// no plugin sees more of the request `r`, but for its end.
//
// Returns 0; or -1 where there is no such filter, because nginx learnt of the library only after it had read its configuration.
//
// # Safety
// `(body, body_len)` is a string.
int proxy_wasm_request_keep_body(void *r,
                                 const char *body,
                                 size_t body_len);

// Says that the body of a local response to the request `r` from a response phase has still to be sent (1), or that it has been (0).
// A request that ends with its body owed leaves an error in the log.
void proxy_wasm_request_owes_body(void *r,
                                  int owes);

// How many requests of this worker have stream contexts now.
size_t proxy_wasm_worker_requests(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus
