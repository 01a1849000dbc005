std = "ngx_lua"
max_line_length = 250
-- what t/lib/ProxyWasm.pm gives to each test
files["t/lib"].globals = { "wasm", "guests", "wat", "load", "configure" }
