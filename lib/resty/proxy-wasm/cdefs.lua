-- Finds the library, loads it once and declares its C ABI: include/proxy_wasm.h.


local ffi = require "ffi"


local C = ffi.C
local ffi_load = ffi.load
local ffi_str = ffi.string
local io_open = io.open
local gmatch = string.gmatch
local gsub = string.gsub
local pcall = pcall
local error = error
local tonumber = tonumber


local LIBRARY = "libresty_proxy_wasm.so"
local ERRBUF_SIZE = 1024


local DECLARATIONS = [[
typedef struct ProxyWasmContext  ProxyWasmContext;
typedef struct ProxyWasmPlugin  ProxyWasmPlugin;

typedef struct ProxyWasmStr {
    const char *data;
    size_t      len;
} ProxyWasmStr;

typedef struct ProxyWasmHeader {
    struct ProxyWasmStr name;
    struct ProxyWasmStr value;
} ProxyWasmHeader;

typedef struct ProxyWasmOutcome {
    struct ProxyWasmStr body;
    struct ProxyWasmStr local_body;
    const struct ProxyWasmHeader *headers;
    size_t headers_len;
    struct ProxyWasmStr path;
    struct ProxyWasmStr args;
    int status;
    int grpc_status;
    int wait;
    size_t ran;
} ProxyWasmOutcome;

typedef struct ProxyWasmTask {
    uint32_t id;
    uint32_t token;
    uint32_t period;
    struct ProxyWasmStr name;
} ProxyWasmTask;

typedef struct ProxyWasmSharedStats {
    uint64_t size;
    uint64_t used;
    uint64_t keys;
    uint64_t evicted;
    uint64_t queues;
    uint64_t items;
    uint64_t metrics;
    uint64_t recovered;
    uint64_t emptied;
    int shared;
} ProxyWasmSharedStats;

int proxy_wasm_abi_fits(const char *declarations, size_t len);
int proxy_wasm_init(int configuring, char *errbuf, size_t *errlen);
int proxy_wasm_setting(const char *name, size_t name_len, const char *word, size_t word_len, char *errbuf, size_t *errlen);
int proxy_wasm_engine_get(struct ProxyWasmStr *name);

int proxy_wasm_plugin_new(const char *name, size_t name_len, const char *path, size_t path_len, const struct ProxyWasmHeader *options, size_t options_len, struct ProxyWasmPlugin **plugin, char *errbuf, size_t *errlen);
void proxy_wasm_plugin_free(struct ProxyWasmPlugin *plugin);
int proxy_wasm_plugin_flags(const struct ProxyWasmPlugin *plugin);
int proxy_wasm_plugin_info(const struct ProxyWasmPlugin *plugin, struct ProxyWasmStr *info);

int proxy_wasm_context_new(const struct ProxyWasmPlugin *plugin, const char *config, size_t config_len, struct ProxyWasmContext **context);
void proxy_wasm_context_free(struct ProxyWasmContext *context);
int proxy_wasm_context_flags(const struct ProxyWasmContext *context);
size_t proxy_wasm_context_body_limit(const struct ProxyWasmContext *context);

int proxy_wasm_streams_request_headers(const struct ProxyWasmContext *const *contexts, size_t contexts_len, void *r, struct ProxyWasmOutcome *outcome);
int proxy_wasm_stream_request_body(const struct ProxyWasmContext *context, void *r, const char *body, size_t body_len, int end_of_stream, struct ProxyWasmOutcome *outcome);
int proxy_wasm_streams_response_headers(const struct ProxyWasmContext *const *contexts, size_t contexts_len, void *r, const struct ProxyWasmHeader *response_headers, size_t response_headers_len, struct ProxyWasmOutcome *outcome);
int proxy_wasm_stream_response_body(const struct ProxyWasmContext *context, void *r, const char *body, size_t body_len, int end_of_stream, struct ProxyWasmOutcome *outcome);
void proxy_wasm_request_bypass(void *r);
int proxy_wasm_request_keep_body(void *r, const char *body, size_t body_len);
void proxy_wasm_request_owes_body(void *r, int owes);
void *proxy_wasm_request_left_semaphore(void);
void proxy_wasm_request_park(void *r, void *semaphore);
int proxy_wasm_stream_resume(const struct ProxyWasmContext *context, void *r, void *semaphore, struct ProxyWasmOutcome *outcome);
size_t proxy_wasm_worker_requests(void);

int proxy_wasm_worker_next(struct ProxyWasmTask *task);
int proxy_wasm_worker_listen(struct ProxyWasmStr *path, char *errbuf, size_t *errlen);
int proxy_wasm_worker_accept(void);
int proxy_wasm_worker_events(void);
int proxy_wasm_worker_awaits(int exiting);
void proxy_wasm_worker_hang_up(void);
int proxy_wasm_worker_keep(void);
int proxy_wasm_worker_start(void);
int proxy_wasm_context_tick(uint32_t id);
void proxy_wasm_calls_ask(int ask);
void proxy_wasm_call_resolve(uint32_t id, uint32_t token, const char *name, size_t name_len, int failed);

int proxy_wasm_shared_get(const char *key, size_t key_len, const char *vm_id, size_t vm_id_len, struct ProxyWasmStr *value, uint32_t *cas, char *errbuf, size_t *errlen);
int proxy_wasm_shared_set(const char *key, size_t key_len, const char *value, size_t value_len, uint32_t cas, const char *vm_id, size_t vm_id_len, char *errbuf, size_t *errlen);
int proxy_wasm_shared_keys(size_t max, const char *vm_id, size_t vm_id_len, const struct ProxyWasmStr **keys, size_t *keys_len, char *errbuf, size_t *errlen);
int proxy_wasm_shared_stats(struct ProxyWasmSharedStats *stats, char *errbuf, size_t *errlen);
int proxy_wasm_metrics_text(struct ProxyWasmStr *text, char *errbuf, size_t *errlen);
]]

ffi.cdef(DECLARATIONS)


local _M = {
    -- what the answers of proxy_wasm_plugin_flags() and proxy_wasm_context_flags() are summed from
    HAS_REQUEST_HEADERS = 1,
    HAS_REQUEST_BODY = 2,
    HAS_RESPONSE_HEADERS = 4,
    HAS_RESPONSE_BODY = 8,
    SETS_BODY = 16,
    ACTS_AT_END = 32,
    READS_RESPONSE_HEADERS = 64,

    -- what proxy_wasm_stream_*() and proxy_wasm_streams_*() answer where there is no request
    NO_REQUEST = -2,

    -- what their answers are summed from elsewhere
    OUTCOME_BODY = 1,
    OUTCOME_HOLD = 2,
    OUTCOME_LOCAL_RESPONSE = 4,
    OUTCOME_CLOSE = 8,
    OUTCOME_PATH = 16,
    OUTCOME_ARGS = 32,
    OUTCOME_PAUSED = 64,
    OUTCOME_WAIT = 128,
    OUTCOME_TASKS = 256,

    -- what proxy_wasm_worker_next() answers
    TASK_TICK = 1,
    TASK_RESOLVE = 2,
    TASK_LISTEN = 3,
    TASK_KEEP = 4,
    TASK_RUN = 5,
}


-- APISIX requires this module in a pcall() and does not say why it failed.
local function fail(message)
    ngx.log(ngx.ERR, "resty.proxy-wasm: ", message)
    error(message, 0)
end


local function is_loaded()
    return C.proxy_wasm_init ~= nil
end


local function load_library()
    -- nginx's load_module makes the symbols global: a second copy must not be loaded
    if pcall(is_loaded) then
        return C
    end

    local tried = ""

    for template in gmatch(package.cpath, "[^;]+") do
        local path = gsub(template, "[^/]*$", LIBRARY, 1)
        local file = io_open(path, "rb")
        if file then
            file:close()
            return ffi_load(path)
        end

        tried = tried .. "\n\tno file '" .. path .. "'"
    end

    fail(LIBRARY .. " not found along package.cpath:" .. tried)
end


local errbuf = ffi.new("char[?]", ERRBUF_SIZE)
local errlen = ffi.new("size_t[1]")


-- The arguments (errbuf, errlen) for a call into the library.
function _M.error_buffer()
    errlen[0] = ERRBUF_SIZE
    return errbuf, errlen
end


-- The text that the last call left there.
function _M.error_text()
    return ffi_str(errbuf, tonumber(errlen[0]))
end


_M.lib = load_library()


-- After an update the library that nginx has loaded is the one before until it is restarted.
local function fits()
    return _M.lib.proxy_wasm_abi_fits(DECLARATIONS, #DECLARATIONS) == 1
end


local known, same = pcall(fits)
if not known or not same then
    fail("these Lua files and the " .. LIBRARY .. " that is loaded are not of the same version: "
         .. "an update takes a restart of nginx")
end

local rc = _M.lib.proxy_wasm_init(ngx.get_phase() == "init" and 1 or 0, _M.error_buffer())
if rc < 0 then
    fail(_M.error_text())
end

-- This VM goes with the request that it was made for: lua_code_cache is off.
_M.of_request = rc == 1


return _M
