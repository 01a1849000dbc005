-- What can be said of one plugin, with load() or in a chain.


local _M = {}


-- the options that are strings
_M.STRINGS = {
    root_id = true,
    vm_config = true,
    vm_id = true,
    -- as the directives of these names, with wasm_ before them
    memory_limit = true,
    memory_renew = true,
    deadline = true,
    start_deadline = true,
    stream_limit = true,
    body_buffer_size = true,
    log_limit = true,
    crash_limit = true,
    crash_window = true,
    pause_timeout = true,
}


return _M
