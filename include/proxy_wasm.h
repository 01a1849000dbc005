// The C ABI of libresty_proxy_wasm.so. Generated from src/capi by `make header`.

#pragma once

#include <stddef.h>
#include <stdint.h>

// Start, change or stop (0) the ticks of the plugin context `id`, `period` in milliseconds.
#define TASK_TICK 1

// Say where the call `token` of VM `id` goes: `name` is its upstream.
#define TASK_RESOLVE 2

// Listen for what becomes of calls.
#define TASK_LISTEN 3

// Look soon for what requests have left to do at their end.
#define TASK_KEEP 4

// Run callbacks.
#define TASK_RUN 5

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

// The plugin could make calls, or ask for ticks, when a request ends.
#define FLAG_ACTS_AT_END 32

// The plugin could look at the response's headers, or at how many there are.
#define FLAG_READS_RESPONSE_HEADERS 64

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

// The request has to wait: see `proxy_wasm_request_park`.
#define OUTCOME_WAIT 128

// `proxy_wasm_worker_next` has something.
#define OUTCOME_TASKS 256

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

// Something for Lua to do. The name is valid until the next one.
typedef struct ProxyWasmTask {
  uint32_t id;
  uint32_t token;
  uint32_t period;
  struct ProxyWasmStr name;
} ProxyWasmTask;

// A header, or an option of a plugin, that crosses the boundary.
typedef struct ProxyWasmHeader {
  struct ProxyWasmStr name;
  struct ProxyWasmStr value;
} ProxyWasmHeader;

// What the store holds.
typedef struct ProxyWasmSharedStats {
  // Of the whole store, in bytes.
  uint64_t size;
  // Of it, by keys, values, queues and metrics.
  uint64_t used;
  uint64_t keys;
  // Keys that have gone to make room for others.
  uint64_t evicted;
  uint64_t queues;
  // In all queues.
  uint64_t items;
  uint64_t metrics;
  // How often a process has died while it was at the store.
  uint64_t recovered;
  // How often all data and queues were lost.
  uint64_t emptied;
  // 1 where all workers have this store, 0 where it is this worker's own.
  int shared;
} ProxyWasmSharedStats;

// What is left to do after a callback. Only what the function's answer names is valid, until the next call of such a function.
typedef struct ProxyWasmOutcome {
  struct ProxyWasmStr body;
  struct ProxyWasmStr local_body;
  const struct ProxyWasmHeader *headers;
  size_t headers_len;
  struct ProxyWasmStr path;
  struct ProxyWasmStr args;
  int status;
  int grpc_status;
  // How long the request waits at most, in milliseconds.
  int wait;
  // How many plugins of a list have run; the last of them is the one that left something to do, or failed.
  size_t ran;
} ProxyWasmOutcome;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Says what there is to do without a request; to be called until there is nothing, after each function that answers 256 and after each that
// says so here. Not in `init_by_lua*`.
//
// Returns 0 for nothing, or what is to be done with `*task`. 1: `proxy_wasm_context_tick(id)` is to be called every `period` milliseconds from
// now on, or never for 0. 2: `proxy_wasm_call_resolve(id, token, …)` is to be called for the upstream `name`. 3: a light thread is to
// listen, as `proxy_wasm_worker_listen` says. 4: soon, and for as long as it says so, `proxy_wasm_worker_keep` is to be called. 5:
// `proxy_wasm_worker_events` is to be called from a timer.
//
// # Safety
// `task` is writable.
int proxy_wasm_worker_next(struct ProxyWasmTask *task);

// Makes the socket that a light thread connects to, and reads from, to learn of what becomes of calls. It is for this one connection: Lua
// connects, calls `proxy_wasm_worker_accept`, reads, and calls `proxy_wasm_worker_events` whenever bytes came.
//
// Returns 0 and the path in `*path`, valid until the next call into the library; or -1, when Lua has to call
// `proxy_wasm_worker_events` from time to time instead.
//
// Errors: no folder can be written to; the text says why.
//
// # Safety
// `path` is writable, `errlen` points at the size of the writable buffer `errbuf`.
int proxy_wasm_worker_listen(struct ProxyWasmStr *path,
                             char *errbuf,
                             size_t *errlen);

// Takes the connection that Lua has made, and removes the socket's file, whether that went well or not.
//
// Returns 0, or -1: Lua had not connected.
int proxy_wasm_worker_accept(void);

// Tells plugins what has become of their calls: runs the callbacks of calls that no request waits for, and wakes the requests that
// wait. And tells them of items in queues. `proxy_wasm_worker_next` may then have something.
//
// Returns how many answers there were.
int proxy_wasm_worker_events(void);

// Whether a light thread should go on listening: for what becomes of calls, or for items in queues. `exiting` says that the worker is to quit: then only for requests and what they wait for,
// and for a short time for other calls, but no streams that plugin contexts keep open.
//
// Returns 1 or 0.
int proxy_wasm_worker_awaits(int exiting);

// Nobody listens any more: the connection is closed, which ends the light thread that reads from it. `proxy_wasm_worker_next` may then have
// something.
void proxy_wasm_worker_hang_up(void);

// Whether requests may still leave something to do at their end; if not, `proxy_wasm_worker_next` says so the next time.
//
// Returns 1 or 0.
int proxy_wasm_worker_keep(void);

// Makes a VM for each plugin context that has none in this process, which runs `proxy_on_vm_start` and `proxy_on_configure`: so that plugins
// tick, and call, before there is a request. `proxy_wasm_worker_next` may then have something.
//
// Returns how many failed; nginx's error log has the causes.
int proxy_wasm_worker_start(void);

// Runs `proxy_on_tick` on the plugin context `id`. `proxy_wasm_worker_next` may then have something.
//
// Returns 1, or 0 where the plugin context is gone.
int proxy_wasm_context_tick(uint32_t id);

// Says whether calls are to wait for `proxy_wasm_call_resolve`.
void proxy_wasm_calls_ask(int ask);

// Says where a call of the VM `id` goes: to the upstream `name`, or, for a null `name`, to the one that the call names; with `failed`,
// nowhere, and `name` is the reason.
//
// # Safety
// `(name, name_len)` is a string.
void proxy_wasm_call_resolve(uint32_t id,
                             uint32_t token,
                             const char *name,
                             size_t name_len,
                             int failed);

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

// How many bytes of a request's body the context's plugin can be shown: a longer one is answered with 413.
//
// # Safety
// `context` came from `proxy_wasm_context_new`.
size_t proxy_wasm_context_body_limit(const struct ProxyWasmContext *context);

// Whether a caller with these declarations of the C ABI, `len` bytes of C, belongs to this library.
//
// Returns 1 or 0.
//
// # Safety
// `declarations` points at `len` bytes.
int proxy_wasm_abi_fits(const char *declarations, size_t len);

// Finds the functions of nginx and lua-nginx-module that the library works through. To be called before any other, once in each Lua VM.
//
// `configuring` says that nginx is reading its configuration (`init_by_lua*`): then the library's body filter can be put in place.
//
// Returns 0, or 1 where the VM is that of one request (`lua_code_cache off`), or -1.
//
// Errors: a function is missing; the text names it and says which versions have it.
//
// # Safety
// `errlen` points at the size of the writable buffer `errbuf`.
int proxy_wasm_init(int configuring,
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
// `options` are `root_id`, `vm_config`, `vm_id`, `env:NAME` for each environment variable, and, as the directives of these names with `wasm_`
// before them: `memory_limit`, `memory_renew`, `deadline`, `start_deadline`, `stream_limit`, `body_buffer_size`, `log_limit`, `crash_limit`,
// `crash_window`, `pause_timeout`; others are refused.
//
// Returns 0 and the plugin in `*plugin`, to be freed with `proxy_wasm_plugin_free`; or -1.
//
// Errors: the file cannot be read: the system's own message after its path; an unknown option, or a bad word for one; `failed to load wasm plugin` for
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
// `proxy_on_response_headers`, 8 `proxy_on_response_body`, 16 it could change a body, 32 it could make calls when a request ends, 64 it could look at the response's
// headers or at how many there are.
//
// # Safety
// `plugin` came from `proxy_wasm_plugin_new`.
int proxy_wasm_plugin_flags(const struct ProxyWasmPlugin *plugin);

// Describes a plugin: lines of `key=value`. Keys are `name`, `engine`, `code` (`compiled` or `interpreted`), `cache` (`hit` for code
// that was found on disk, `miss` for code that was not and so was compiled, `off` without a cache and for what is interpreted),
// `abi_version`, `size` (bytes of the file), `hash` (SHA-256 in hexadecimal), `root_id`, `contexts` (in the current VM), and, once for
// each, `export`, `import` (`module.name`) and `unknown_import`.
//
// Returns 0, and the text in `*info`, valid until the next call into the library.
//
// # Safety
// `plugin` came from `proxy_wasm_plugin_new`, `info` is writable.
int proxy_wasm_plugin_info(const struct ProxyWasmPlugin *plugin,
                           struct ProxyWasmStr *info);

// Says what a directive would, where there is none. `name` is the directive's, which README lists with what each can say.
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

// The value under a key of shared data, in the namespace `vm_id`.
//
// Returns 1, the value in `*value`, valid until the next call into the library, and its number in `*cas`; 0 where there is no such key; or
// -1.
//
// Errors: the system has no memory for the store.
//
// # Safety
// `(key, key_len)` and `(vm_id, vm_id_len)` are strings; `value` and `cas` are writable; `errlen` points at the size of the writable buffer
// `errbuf`.
int proxy_wasm_shared_get(const char *key,
                          size_t key_len,
                          const char *vm_id,
                          size_t vm_id_len,
                          struct ProxyWasmStr *value,
                          uint32_t *cas,
                          char *errbuf,
                          size_t *errlen);

// Sets the value under a key of shared data, in the namespace `vm_id`. An empty value removes the key. A `cas` other than 0 has to be the
// number of the value that is there, if one is.
//
// Returns 0, or -1.
//
// Errors: `cas mismatch`; `no memory`, where there is no room, or where key or value are longer than any that are kept; the system has no
// memory for the store.
//
// # Safety
// `(key, key_len)`, `(value, value_len)` and `(vm_id, vm_id_len)` are strings; `errlen` points at the size of the writable buffer `errbuf`.
int proxy_wasm_shared_set(const char *key,
                          size_t key_len,
                          const char *value,
                          size_t value_len,
                          uint32_t cas,
                          const char *vm_id,
                          size_t vm_id_len,
                          char *errbuf,
                          size_t *errlen);

// The keys of shared data in the namespace `vm_id`, at most `max` of them where that is not 0, in any order.
//
// Returns 0, and the keys as an array in `(*keys, *keys_len)`, valid until the next call of this function; or -1.
//
// Errors: the system has no memory for the store.
//
// # Safety
// `(vm_id, vm_id_len)` is a string; `keys` and `keys_len` are writable; `errlen` points at the size of the writable buffer `errbuf`.
int proxy_wasm_shared_keys(size_t max,
                           const char *vm_id,
                           size_t vm_id_len,
                           const struct ProxyWasmStr **keys,
                           size_t *keys_len,
                           char *errbuf,
                           size_t *errlen);

// What the store holds now.
//
// Returns 0 and the numbers in `*stats`, or -1.
//
// Errors: the system has no memory for the store.
//
// # Safety
// `stats` is writable; `errlen` points at the size of the writable buffer `errbuf`.
int proxy_wasm_shared_stats(struct ProxyWasmSharedStats *stats, char *errbuf, size_t *errlen);

// All metrics, of plugins and the host's own, in the text format of Prometheus, version 0.0.4.
//
// Returns 0 and the text in `*text`, valid until the next call into the library; or -1.
//
// Errors: the system has no memory for the store.
//
// # Safety
// `text` is writable; `errlen` points at the size of the writable buffer `errbuf`.
int proxy_wasm_metrics_text(struct ProxyWasmStr *text, char *errbuf, size_t *errlen);

// Runs `proxy_on_request_headers` of each of `contexts`, until there is something to do.
//
// Returns 0 where nothing is left to do, or there are no `contexts`; or what the last that has run, of `outcome->ran`, has left. That is a sum
// of the numbers below; or -1 where the plugin trapped, with the cause in nginx's error log; or -2 where `r` is none that a client made, as in
// timers.
// 4: a local response was sent, 8: the request is to be closed, 16: the path changed, 32: with it the arguments, 64: the plugin
// holds the request, 128: it has to wait, as `proxy_wasm_request_park` says, 256: `proxy_wasm_worker_next` has something. After -1 that is
// to be asked too.
//
// # Safety
// `contexts` points at `contexts_len` that came from `proxy_wasm_context_new`, `r` is the `ngx_http_request_t` that runs, in a phase before its
// response, `outcome` is writable.
int proxy_wasm_streams_request_headers(const struct ProxyWasmContext *const *contexts,
                                       size_t contexts_len,
                                       void *r,
                                       struct ProxyWasmOutcome *outcome);

// Runs `proxy_on_request_body` with the next piece of the body. A null `body` means that there is none to show; an empty one is
// shown.
//
// Returns as `proxy_wasm_streams_request_headers`, with 1: `outcome->body` goes on instead, 2: nothing goes on now. After -1,
// `outcome->body` is what was held back before, null where nothing was.
//
// # Safety
// As `proxy_wasm_streams_request_headers`, of one context; `(body, body_len)` is a string.
int proxy_wasm_stream_request_body(const struct ProxyWasmContext *context,
                                   void *r,
                                   const char *body,
                                   size_t body_len,
                                   int end_of_stream,
                                   struct ProxyWasmOutcome *outcome);

// A light thread is about to wait on `semaphore` for the request `r`: `outcome->wait` milliseconds at most, or until it is posted. Then
// `proxy_wasm_stream_resume` is to be called, with the same semaphore.
//
// # Safety
// `semaphore` is the `ngx_http_lua_sema_t` of an `ngx.semaphore` that is not collected before that, or before the request has ended.
void proxy_wasm_request_park(void *r,
                             void *semaphore);

// A semaphore that was given to `proxy_wasm_request_park` and that nobody waits on any more, because its request has ended: a client that goes
// away takes the light thread with it. To be asked for before another is made.
//
// Returns null where there is none.
void *proxy_wasm_request_left_semaphore(void);

// Runs the callbacks that the request has waited for, on the plugin contexts of their calls, and lets the request go on if the plugin did,
// or if it has waited long enough.
//
// Returns as `proxy_wasm_stream_request_body`; with 128 the request has to wait on. -1 where a callback trapped, or the VM had before.
//
// # Safety
// As `proxy_wasm_streams_request_headers`, of one context; `semaphore` was given to `proxy_wasm_request_park`.
int proxy_wasm_stream_resume(const struct ProxyWasmContext *context,
                             void *r,
                             void *semaphore,
                             struct ProxyWasmOutcome *outcome);

// Runs `proxy_on_response_headers` of each of `contexts`, until there is something to do. `response_headers` are all headers of the
// response; null where nothing but plugins has changed them since the last call for this request, and for plugins whose flags lack 64.
//
// Returns as `proxy_wasm_streams_request_headers`.
//
// # Safety
// As `proxy_wasm_streams_request_headers`, in the header filter; the headers are valid for the call.
int proxy_wasm_streams_response_headers(const struct ProxyWasmContext *const *contexts,
                                        size_t contexts_len,
                                        void *r,
                                        const struct ProxyWasmHeader *response_headers,
                                        size_t response_headers_len,
                                        struct ProxyWasmOutcome *outcome);

// Runs `proxy_on_response_body` with the next piece of the body.
//
// Returns as `proxy_wasm_stream_request_body`.
//
// # Safety
// As `proxy_wasm_streams_request_headers`, of one context, in the body filter; `(body, body_len)` is a string.
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
