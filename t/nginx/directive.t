# The two doors: the directive wasm_vm of load_module, and wasm.setup{} of the FFI; on one library.

use strict;
use warnings;

use Test::More;
use Server;

my $vm = $Server::vm;

sub refused {
    my ($name, $pattern, %parts) = @_;
    my $server = Server->new(require => 0, vm => '', %parts);
    my ($ok, $output) = $server->check;
    ok(!$ok, "$name: nginx does not start");
    like($output, $pattern, "$name: the reason, with file and line");
}

my $where = qr{ in \S+/nginx\.conf:\d+\n};
refused('an unknown engine', qr{\[emerg\].* unknown engine "v8", it must be wasmtime or wasmedge$where}, http => 'wasm_vm v8;');
refused('an empty name', qr{\[emerg\].* unknown engine "", it must be wasmtime or wasmedge$where}, http => 'wasm_vm "";');
refused('another case', qr{\[emerg\].* unknown engine "Wasmtime", it must}, http => 'wasm_vm Wasmtime;');
refused('a duplicate', qr{"wasm_vm" directive is duplicate$where}, http => "wasm_vm $vm;\nwasm_vm $vm;");
refused('no engine', qr{invalid number of arguments in "wasm_vm" directive$where}, http => 'wasm_vm;');
refused('two engines', qr{invalid number of arguments in "wasm_vm" directive$where}, http => 'wasm_vm wasmtime wasmedge;');
refused('in server', qr{"wasm_vm" directive is not allowed here$where}, location => 'wasm_vm wasmtime;');
refused('in location', qr{"wasm_vm" directive is not allowed here$where}, location => 'location /t { wasm_vm wasmtime; }');
refused('outside http', qr{"wasm_vm" directive is not allowed here$where}, main => 'wasm_vm wasmtime;');
refused('without load_module', qr{unknown directive "wasm_vm"$where}, http => 'wasm_vm wasmtime;', load_module => 0);

refused('a bad word', qr{\[emerg\].* bad wasmedge_aot "yes", it must be auto, on or off$where}, http => 'wasmedge_aot yes;');
refused('a word twice', qr{"wasmedge_aot" directive is duplicate$where}, http => "wasmedge_aot on;\nwasmedge_aot on;");

my $answer = <<'_EOC_';
location /t {
    return 200 "ok\n";
    header_filter_by_lua_block {
        if plugin then
            wasm.on_http_response_headers(assert(wasm.on_configure(plugin, "x")))
        end
    }
}
location /engine { content_by_lua_block { ngx.print(wasm.engine()) } }
location /said { content_by_lua_block { ngx.print(said) } }
location /maps {
    content_by_lua_block {
        local seen, list = {}, {}
        for line in io.lines("/proc/self/maps") do
            local path = line:match("%S*libresty_proxy_wasm%S*$")
            if path and not seen[path] then
                seen[path] = true
                list[#list + 1] = path
            end
        end
        ngx.print(table.concat(list, " "))
    }
}
_EOC_
my $load = 'plugin = assert(wasm.load("add-header", wat .. "add-header.wat"))';

for my $door (
    [$vm, 'directive', http => "wasm_vm $vm;"],
    ['wasmtime', 'load_module without directive'],
    ['wasmtime', 'FFI alone', load_module => 0],
    [$vm, 'FFI with setup', load_module => 0, init => "assert(wasm.setup{ vm = '$vm' })"],
    [$vm, 'directive and setup', http => "wasm_vm $vm;", init => "assert(wasm.setup{ vm = '$vm' })"],
) {
    my ($engine, $name, %parts) = @$door;
    my $server = Server->new(vm => '', %parts, init => ($parts{init} // '') . "\n$load", location => $answer);
    my ($ok, $output) = $server->check;
    ok($ok, "$name: nginx -t") or diag $output;
    like($output, qr/test is successful/, "$name: it says so");
    ($ok, $output) = $server->start;
    ok($ok, "$name: nginx starts") or diag $output;
    my ($status, $body, $headers) = $server->get('/t');
    is("$status $body", "200 ok\n", "$name: a response");
    is($headers->{hello}, 'world', "$name: the plugin ran");
    is(($server->get('/engine'))[1], $engine, "$name: the engine");
    is(($server->get('/maps'))[1], $Server::file, "$name: one copy of the library");
    ok($server->reload, "$name: reload");
    is(($server->get('/t'))[2]{hello}, 'world', "$name: the plugin runs after it");
    is_deeply([$server->log(qr/\[(?:error|crit|alert|emerg)\]/)], [], "$name: no error");
}

{
    my $server = Server->new(load_module => 0, vm => '', location => $answer, init => <<'_EOC_');
local function try(call)
    local ok, a, b = pcall(call)
    said = (said or "") .. tostring(ok) .. " " .. tostring(a) .. " " .. tostring(b) .. "\n"
end
try(function() return wasm.setup{ vm = "wasmtime" } end)
try(function() return wasm.setup{ vm = "v8" } end)
try(function() wasm.setup{ engine = "wasmtime" } end)
_EOC_
    $server->start;
    like(($server->get('/said'))[1], qr{^true true nil
true nil unknown engine "v8", it must be wasmtime or wasmedge
false init_by_lua[^\n]*: unknown option "engine" nil
$}, 'setup{}: nil and an error for a bad engine, raised for a bad option');
}

{
    # the FFI is pointed at a copy: what load_module has loaded is used
    my $copies = "$Server::root/build/copy-$$";
    mkdir $copies;
    system 'cp', $Server::file, $copies;
    my $server = Server->new(cpath => "$copies/?.so", init => $load, location => $answer);
    $server->start;
    is(($server->get('/t'))[2]{hello}, 'world', 'a second copy on package.cpath: the plugin runs');
    is(($server->get('/maps'))[1], $Server::file, 'a second copy on package.cpath is not loaded');
    system 'rm', '-r', $copies;
}

{
    my $server = Server->new(load_module => 0, cpath => '/nowhere/?.so', require => 0, location => $answer,
        init => 'said = select(2, pcall(require, "resty.proxy-wasm"))');
    $server->start;
    like(($server->get('/said'))[1], qr{libresty_proxy_wasm\.so not found along package\.cpath:\n.*no file '/nowhere/libresty_proxy_wasm\.so'}s,
        'a library that is not there: an error that says where it was looked for');
}

{
    my $server = Server->new(init => $load, location => $answer);
    $server->start;
    my @before = $server->workers;
    $server->configure(vm => 'v8', init => $load, location => $answer);
    $server->signal('HUP');
    ok(Server::wait_for(sub { $server->log(qr/unknown engine "v8"/) }), 'reload with a bad engine: refused');
    is_deeply([$server->workers], \@before, 'reload with a bad engine: the workers stay');
    is(($server->get('/engine'))[1], $vm, 'reload with a bad engine: the old one counts');
    is(($server->get('/t'))[2]{hello}, 'world', 'reload with a bad engine: the plugin runs');
    kill 'KILL', @before;
    ok(Server::wait_for(sub { ($server->get('/t'))[0] == 200 }), 'a worker started after it');
    is(($server->get('/engine'))[1], $vm, 'a worker started after it has the old engine');
    $server->configure(vm => '', init => $load, location => $answer);
    ok($server->reload, 'reload without the directive');
    is(($server->get('/t'))[2]{hello}, 'world', 'reload without the directive: the plugin runs');
}

{
    my @undefined = grep { /\bngx_|\blua/ } `nm -D --undefined-only $Server::file`;
    is_deeply(\@undefined, [], 'no undefined symbol of nginx or Lua');
    my @others = grep { !/ (?:proxy_wasm_\w+|ngx_modules|ngx_module_names|ngx_module_order)$/ } `nm -D --defined-only $Server::file`;
    is_deeply(\@others, [], 'nothing is exported but the C ABI and the module');
}

{
    my $output = `$^X -MDynaLoader -e 'print DynaLoader::dl_load_file("$Server::file") ? "loaded" : DynaLoader::dl_error()' 2>&1`;
    is($output, 'loaded', 'outside nginx the library can be mapped and does nothing');
}

done_testing();
