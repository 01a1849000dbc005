# wasm.shared: what operators see of the store, how it is configured, and whose it is.

use strict;
use warnings;

use Test::More;
use Server;

my $helpers = <<'_EOC_';
-- Says what a call answers.
function answers(...)
    ngx.say(tostring((select(1, ...))), " ", tostring((select(2, ...))))
end

-- Says the error that a call raises, with the place it blames.
function raises(call)
    local ok, err = pcall(call)
    ngx.say(tostring(ok), " ", (err:gsub("^content_by_lua%(nginx%.conf:%d+%)", "content")))
end

-- Sets keys of a kilobyte until one is not taken; how many were, and why the next was not.
function fill(prefix, count)
    for i = 1, count do
        local ok, err = wasm.shared:set(prefix .. i, ("x"):rep(1000))
        if not ok then
            return i - 1, err
        end
    end
    return count
end

-- All keys in order.
function keys(...)
    local list = wasm.shared:keys(...)
    table.sort(list)
    return table.concat(list, " ")
end
_EOC_

sub server {
    my (%parts) = @_;
    my $require = defined $parts{require} && !$parts{require};
    $parts{init} = $helpers . ($parts{init} // '') unless $require;
    my $server = Server->new(%parts);
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    return $server;
}

sub lua {
    my (%locations) = @_;
    return join '', map { "location /$_ {\ncontent_by_lua_block {\n$locations{$_}\n}\n}\n" } sort keys %locations;
}

# What Lua says in /t of a server of its own.
sub says {
    my ($name, $lua, $expected, %parts) = @_;
    my $server = server(location => lua(t => $lua), %parts);
    my $body = ($server->get('/t'))[1];
    ref $expected ? like($body, $expected, $name) : is($body, $expected, $name);
    is_deeply([$server->log(qr/\[(?:warn|error|crit|alert|emerg)\]/)], [], "$name: nothing in the log");
    return $server;
}

sub is_quiet {
    my ($server, $name) = @_;
    is_deeply([$server->log(qr/\[(?:warn|error|crit|alert|emerg)\]|exited on signal/)], [], "$name: nothing in the log");
}

says('a value and its number', <<'_EOC_', <<'_OUT_');
answers(wasm.shared:get("key"))
answers(wasm.shared:set("key", "one"))
local value, cas = wasm.shared:get("key")
ngx.say(value, " ", type(cas), " ", cas > 0)
answers(wasm.shared:set("key", "two"))
ngx.say(wasm.shared:get("key"), " ", select(2, wasm.shared:get("key")) ~= cas)
answers(wasm.shared:delete("key"))
answers(wasm.shared:get("key"))
answers(wasm.shared:delete("key"))
_EOC_
nil nil
true nil
one number true
true nil
two true
true nil
nil nil
true nil
_OUT_

says('any bytes, and numbers as strings; an empty value removes the key', <<'_EOC_', <<'_OUT_');
for _, value in ipairs({ "a\0b\255", 7, 0.5, -1, ("x"):rep(1048576) }) do
    answers(wasm.shared:set("a\0key", value))
    local found = wasm.shared:get("a\0key")
    ngx.say(type(found), " ", found == tostring(value))
end
answers(wasm.shared:get("a"))
answers(wasm.shared:set("", "nameless"))
answers(wasm.shared:get("") == "nameless")
answers(wasm.shared:set("", ""))
answers(wasm.shared:get(""))
answers(wasm.shared:set("never there", ""))
_EOC_
true nil
string true
true nil
string true
true nil
string true
true nil
string true
true nil
string true
nil nil
true nil
true nil
true nil
nil nil
true nil
_OUT_

says('compare and swap', <<'_EOC_', <<'_OUT_');
answers(wasm.shared:set("new", "one", 5))
local _, cas = wasm.shared:get("new")
answers(wasm.shared:set("new", "two", cas))
answers(wasm.shared:set("new", "three", cas))
answers(wasm.shared:set("new", "", cas))
answers(wasm.shared:get("new") == "two")
answers(wasm.shared:set("new", "three", 0))
answers(wasm.shared:set("new", "four", 4294967295))
_, cas = wasm.shared:get("new")
answers(wasm.shared:set("new", "", cas))
answers(wasm.shared:get("new"))
_EOC_
true nil
true nil
nil cas mismatch
nil cas mismatch
true nil
true nil
nil cas mismatch
true nil
nil nil
_OUT_

says('namespaces are those of plugins', <<'_EOC_', <<'_OUT_');
wasm.shared:set("key", "none")
wasm.shared:set("key", "one", nil, "one")
wasm.shared:set("key", "two", 0, "two")
ngx.say(wasm.shared:get("key"), " ", wasm.shared:get("key", ""), " ", (wasm.shared:get("key", "one")), " ", (wasm.shared:get("key", "two")))
answers(wasm.shared:get("key", "three"))
wasm.shared:set("other", "x", 0, "two")
ngx.say(keys(), "; ", keys(0, "two"), ";", keys(nil, "three"))
answers(wasm.shared:delete("key", "two"))
ngx.say(keys(), "; ", keys(0, "two"))
_EOC_
none none one two
nil nil
key; key other;
true nil
key; other
_OUT_

says('keys: 1024 of them, another number, or all', <<'_EOC_', <<'_OUT_');
ngx.say(#wasm.shared:keys())
for i = 1, 3000 do
    assert(wasm.shared:set("key" .. i, "x"))
end
ngx.say(#wasm.shared:keys(), " ", #wasm.shared:keys(nil), " ", #wasm.shared:keys(7), " ", #wasm.shared:keys(1e6))
local all, seen = wasm.shared:keys(0), {}
for _, key in ipairs(all) do
    seen[key] = true
end
local missing = 0
for i = 1, 3000 do
    missing = missing + (seen["key" .. i] and 0 or 1)
end
ngx.say(#all, " ", missing)
_EOC_
0
1024 1024 7 3000
3000 0
_OUT_

says('what does not fit', <<'_EOC_', <<'_OUT_', http => 'wasm_shm_size 8m;');
answers(wasm.shared:set("key", ("x"):rep(1048577)))
answers(wasm.shared:set("key", ("x"):rep(1048576)))
answers(wasm.shared:set(("k"):rep(8192), "x"))
answers(wasm.shared:set(("k"):rep(8190), "x", 0, "vm"))
answers(wasm.shared:set(("k"):rep(8193), "x"))
answers(wasm.shared:set(("k"):rep(8191), "x", 0, "vm"))
answers(wasm.shared:get(("k"):rep(8193)))
answers(wasm.shared:delete(("k"):rep(8193)))
ngx.say(#wasm.shared:keys())
_EOC_
nil no memory
true nil
true nil
true nil
nil no memory
nil no memory
nil nil
true nil
2
_OUT_

says('what would take more than a quarter of the room', <<'_EOC_', "nil no memory\n100 nil\n", http => 'wasm_shm_size 1m;');
fill("key", 100)
answers(wasm.shared:set("large", ("x"):rep(500000)))
ngx.say(#wasm.shared:keys(), " ", tostring(wasm.shared:get("large")))
_EOC_

says('misuse is raised where it was done', <<'_EOC_', <<'_OUT_');
raises(function() wasm.shared:get() end)
raises(function() wasm.shared:get(1) end)
raises(function() wasm.shared.get("key") end)
raises(function() wasm.shared:get("key", 1) end)
raises(function() wasm.shared:set(nil, "x") end)
raises(function() wasm.shared:set("key") end)
raises(function() wasm.shared:set("key", true) end)
raises(function() wasm.shared:set("key", "x", "1") end)
raises(function() wasm.shared:set("key", "x", -1) end)
raises(function() wasm.shared:set("key", "x", 4294967296) end)
raises(function() wasm.shared:set("key", "x", 0, {}) end)
raises(function() wasm.shared:delete({}) end)
raises(function() wasm.shared:delete("key", false) end)
raises(function() wasm.shared:keys("all") end)
raises(function() wasm.shared:keys(-1) end)
raises(function() wasm.shared:keys(0, 0) end)
ngx.say(#wasm.shared:keys(0))
_EOC_
false content:2: bad key: string expected, got nil
false content:3: bad key: string expected, got number
false content:4: bad key: string expected, got nil
false content:5: bad vm_id: string expected, got number
false content:6: bad key: string expected, got nil
false content:7: bad value: string or number expected, got nil
false content:8: bad value: string or number expected, got boolean
false content:9: bad cas: a number of get() expected, got 1
false content:10: bad cas: a number of get() expected, got -1
false content:11: bad cas: a number of get() expected, got 4294967296
false content:12: bad vm_id: string expected, got table
false content:13: bad key: string expected, got table
false content:14: bad vm_id: string expected, got boolean
false content:15: bad max: a number from 0 on expected, got all
false content:16: bad max: a number from 0 on expected, got -1
false content:17: bad vm_id: string expected, got number
0
_OUT_

says('stats', <<'_EOC_', <<'_OUT_');
local function say()
    local stats = wasm.shared:stats()
    local names = {}
    for name in pairs(stats) do
        names[#names + 1] = name
    end
    table.sort(names)
    for i, name in ipairs(names) do
        names[i] = name .. "=" .. tostring(stats[name])
    end
    ngx.say(table.concat(names, " "))
end
say()
wasm.shared:set("key", "x")
wasm.shared:set("key", ("x"):rep(1000), 0, "vm")
say()
wasm.shared:delete("key")
wasm.shared:delete("key", "vm")
say()
_EOC_
emptied=0 evicted=0 items=0 keys=0 metrics=0 queues=0 recovered=0 shared=true size=16777216 used=0
emptied=0 evicted=0 items=0 keys=2 metrics=0 queues=0 recovered=0 shared=true size=16777216 used=1280
emptied=0 evicted=0 items=0 keys=0 metrics=0 queues=0 recovered=0 shared=true size=16777216 used=0
_OUT_

my $server = says('what is removed', <<'_EOC_', <<'_OUT_', init => <<'_INIT_');
wasm.shared:set("deleted", "x")
wasm.shared:set("emptied", "x")
wasm.shared:set("by the plugin", "x")
wasm.shared:delete("deleted")
wasm.shared:set("emptied", "")
wasm.on_http_request_headers(ctx)
for _, key in ipairs({ "deleted", "emptied", "by the plugin" }) do
    answers(wasm.shared:get(key))
end
ngx.say(keys())
_EOC_
nil nil
nil nil
nil nil

_OUT_
local plugin = assert(wasm.load("script", guests .. "script.wasm"))
ctx = assert(wasm.on_configure(plugin, [[
on_request_headers get_shared_data deleted
on_request_headers get_shared_data emptied
on_request_headers set_shared_data "by the plugin" ""
on_request_headers get_shared_data "by the plugin"]]))
_INIT_
is_deeply([map { /get_shared_data -> (.*?),/ } $server->log(qr/get_shared_data/)], [1, 1, '0 null 4'], 'what is removed: as the plugin finds it');
undef $server;

says('plugins and Lua share', <<'_EOC_', <<'_OUT_', init => <<'_INIT_');
wasm.on_http_request_headers(ctx)
ngx.say(wasm.shared:get("from Lua", "vm"), " ", (wasm.shared:get("from the plugin", "vm")))
local stats = wasm.shared:stats()
ngx.say(stats.queues, " ", stats.items, " ", stats.metrics > 0)
_EOC_
more text
1 1 true
_OUT_
wasm.shared:set("from Lua", "value", 0, "vm")
local plugin = assert(wasm.load("script", guests .. "script.wasm", { vm_id = "vm" }))
ctx = assert(wasm.on_configure(plugin, [[
on_request_headers get_shared_data "from Lua"
on_request_headers set_shared_data "from Lua" more %last
on_request_headers set_shared_data "from the plugin" text
on_request_headers as q register_shared_queue q
on_request_headers enqueue_shared_queue %q item]]))
_INIT_

{
    my $server = server(
        workers => 2,
        init => 'wasm.shared:set("init", "x") wasm.shared:set("count", 0)',
        init_worker => <<'_EOC_',
wasm.shared:set("init_worker" .. ngx.worker.id(), "x")
for i = 1, 1000 do
    repeat
        local value, cas = wasm.shared:get("count")
    until wasm.shared:set("count", value + 1, cas)
end
ngx.timer.at(0, function() wasm.shared:set("timer" .. ngx.worker.id(), "x") end)
_EOC_
        location => lua(keys => 'ngx.print(keys())', count => 'ngx.print((wasm.shared:get("count")))') . <<'_EOC_',
location /all {
    rewrite_by_lua_block { wasm.shared:set("rewrite", "x") }
    access_by_lua_block { wasm.shared:set("access", "x") }
    content_by_lua_block { wasm.shared:set("content", "x") ngx.print("x") }
    header_filter_by_lua_block { wasm.shared:set("header_filter", "x") }
    body_filter_by_lua_block { wasm.shared:set("body_filter", "x") }
    log_by_lua_block { wasm.shared:set("log", "x") }
}
_EOC_
    );
    my $expected = 'access body_filter content count header_filter init init_worker0 init_worker1 log rewrite timer0 timer1';
    $server->get('/all');
    Server::wait_for(sub { ($server->get('/keys'))[1] eq $expected });
    is(($server->get('/keys'))[1], $expected, 'workers and the master, in every phase, set the same keys');
    is(($server->get('/count'))[1], 2000, 'none of 2000 increments by two workers is lost');
    is_quiet($server, 'two workers');

    my ($victim) = $server->workers;
    kill 'KILL', $victim;
    ok(Server::wait_for(sub { my @now = $server->workers; @now == 2 && !grep { $_ == $victim } @now }), 'a killed worker is replaced');
    ok(Server::wait_for(sub { ($server->get('/count'))[1] eq '3000' }), 'and the next one finds what there was');
}

my $full = <<'_EOC_';
fill("old", 100)
wasm.shared:get("old1")
local count, err = fill("new", 5000)
local stats = wasm.shared:stats()
ngx.say(count == 5000, " ", tostring(err), " ", stats.evicted > 0, " ", wasm.shared:get("old1") ~= nil, " ", wasm.shared:get("new5000") ~= nil)
ngx.say(stats.used > stats.size / 2, " ", stats.keys == #wasm.shared:keys(0), " ", stats.emptied, " ", stats.recovered)
wasm.shared:delete("new1")
wasm.shared:delete("new2")
answers(wasm.shared:set("another", ("x"):rep(1000)))
_EOC_
says('full: what was not used for longest goes', $full, "true nil true false true\ntrue true 0 0\ntrue nil\n", http => 'wasm_shm_size 1m;');
says('full: the same, said twice', $full, "true nil true false true\ntrue true 0 0\ntrue nil\n", http => 'wasm_shm_size 1m; wasm_shm_policy lru;');
says('full: nothing more is taken', $full, "false no memory false true false\ntrue true 0 0\ntrue nil\n", http => 'wasm_shm_size 1m; wasm_shm_policy none;');
says('full: by setup()', $full, "false no memory false true false\ntrue true 0 0\ntrue nil\n", init => 'assert(wasm.setup{ shm_size = "1m", shm_policy = "none" })');

says('what is looked at stays', <<'_EOC_', "true false\n", http => 'wasm_shm_size 1m;');
wasm.shared:set("kept", "x")
wasm.shared:set("left", "x")
for i = 1, 2000 do
    fill("key" .. i, 1)
    wasm.shared:get("kept")
end
ngx.say(wasm.shared:get("kept") ~= nil, " ", wasm.shared:get("left") ~= nil)
_EOC_

my $where = qr{ in \S+/nginx\.conf:\d+\n};
for my $good ('wasm_shm_size 1m', 'wasm_shm_size 1048576', 'wasm_shm_size 2048K', 'wasm_shm_size 1g', 'wasm_shm_policy lru', 'wasm_shm_policy none') {
    my ($ok, $output) = Server->new(http => "$good;")->check;
    ok($ok, $good) or diag $output;
}
for my $bad (
    ['wasm_shm_size', 'it must be a size from 1m to 4g', '1023k', '4097m', '5g', '0', 'large', ''],
    ['wasm_shm_policy', 'it must be lru or none', 'LRU', 'off', ''],
) {
    my ($name, $wanted, @words) = @$bad;
    for my $word (@words) {
        my ($ok, $output) = Server->new(require => 0, http => "$name \"$word\";")->check;
        like($output, qr{\[emerg\].* bad $name "\Q$word\E", $wanted$where}, "$name \"$word\" is refused");
    }
}

says('setup() says what the directives would', <<'_EOC_', <<'_OUT_', http => 'wasm_shm_size 2m;', init => <<'_INIT_');
ngx.print(said)
ngx.say(wasm.shared:stats().size)
_EOC_
true nil
nil "3m" is not what the directive says: wasm_shm_size 2m
nil bad shm_size "1k", it must be a size from 1m to 4g
nil bad shm_policy "drop", it must be lru or none
2097152
_OUT_
said = ""
for _, options in ipairs{
    { shm_size = "2m", shm_policy = "none" },
    { shm_size = "3m" },
    { shm_size = "1k" },
    { shm_policy = "drop" },
} do
    local ok, err = wasm.setup(options)
    said = said .. tostring(ok) .. " " .. tostring(err):gsub("bad wasm_", "bad ") .. "\n"
end
_INIT_

my $locations = lua(
    get => 'ngx.print(tostring((wasm.shared:get(ngx.var.arg_key))))',
    set => 'wasm.shared:set(ngx.var.arg_key, ngx.var.arg_value)',
    size => 'ngx.print(wasm.shared:stats().size)',
    later => 'wasm.shared:set("waits", ngx.var.arg_n) repeat ngx.sleep(0.02) until ngx.worker.exiting() ngx.say((wasm.shared:get("key"))) wasm.shared:set("key", "late") ngx.say((fill("f", 2000)))',
);

sub get {
    my ($server, $key) = @_;
    return ($server->get("/get?key=$key"))[1];
}

# A request that an old worker answers after the next reload.
sub later {
    my ($server, $n) = @_;
    my $pid = open(my $handle, '-|') // die $!;
    if (!$pid) {
        my ($status, $body) = $server->get("/later?n=$n");
        print $body;
        require POSIX;
        close STDOUT;
        POSIX::_exit(0);
    }
    Server::wait_for(sub { get($server, 'waits') eq $n });
    return $handle;
}

for my $door (
    ['with load_module', '4m', sub { my ($size, $policy) = @_; (http => "wasm_shm_size $size; wasm_shm_policy $policy;") }],
    # nothing tells the library that a configuration was refused
    ['with FFI alone', '4m', sub { my ($size, $policy) = @_; (load_module => 0, init => "${helpers}assert(wasm.setup{ shm_size = '$size', shm_policy = '$policy' })\n") }],
) {
    my ($name, $refused, $parts) = @$door;
    my $reconfigure = sub {
        my ($server, $init, @words) = @_;
        my %parts = $parts->(@words);
        $server->configure(%parts, workers => 2, location => $locations, init => ($parts{init} // $helpers) . $init);
    };
    my $server = Server->new;
    $reconfigure->($server, '', '2m', 'lru');
    my ($ok, $output) = $server->start;
    ok($ok, "$name: nginx starts") or diag $output;
    is(($server->get('/size'))[1], 2 << 20, "$name: the size");
    $server->get("/set?key=$_&value=one") for 'key', 'kept';
    is(get($server, 'key'), 'one', "$name: a value") for 1 .. 4;

    my $answer = later($server, 1);
    $reconfigure->($server, '', '2m', 'none');
    ok($server->reload, "$name: a reload with the same size");
    is(get($server, 'kept'), 'one', "$name: data is kept");
    my ($before, $count) = <$answer>;
    is($before, "one\n", "$name: a worker of the old configuration has the same");
    cmp_ok($count, '<', 2000, "$name: the new policy counts there too");
    is(get($server, 'key'), 'late', "$name: what it sets is seen");

    $answer = later($server, 2);
    $reconfigure->($server, '', '3m', 'lru');
    ok($server->reload, "$name: a reload with another size");
    is(($server->get('/size'))[1], 3 << 20, "$name: it counts");
    is(get($server, 'key'), 'nil', "$name: the store is empty");
    $server->get('/set?key=key&value=three');
    is(<$answer>, "late\n", "$name: a worker of the old configuration keeps the old store");
    <$answer>;
    is(get($server, 'key'), 'three', "$name: what it sets is not seen");

    my @workers = $server->workers;
    $reconfigure->($server, 'error("refused")', $refused, 'lru');
    $server->signal('HUP');
    ok(Server::wait_for(sub { $server->log(qr/refused/) }), "$name: a reload is refused");
    is(get($server, 'key'), 'three', "$name: data is kept");
    kill 'KILL', @workers;
    ok(Server::wait_for(sub { my @now = $server->workers; @now == 2 && $now[0] != $workers[0] && $now[1] != $workers[1] }), "$name: its workers are replaced");
    is(get($server, 'key'), 'three', "$name: data is kept by them too");
    is(($server->get('/size'))[1], 3 << 20, "$name: and the size");
    is_deeply([$server->log(qr/proxy-wasm:/)], [], "$name: nothing in the log");
}

{
    # the library is loaded only in workers
    my $init_worker = <<'_EOC_';
wasm = require("resty.proxy-wasm")
if ngx.worker.id() == 0 then
    wasm.setup{ shm_size = "1m" }
end
wasm.shared:set("worker" .. ngx.worker.id(), "x")
wasm.load("script", guests .. "script.wasm")
_EOC_
    my $server = server(
        load_module => 0, require => 0, workers => 2, init_worker => $init_worker,
        location => lua(t => 'local stats = wasm.shared:stats() ngx.print(table.concat(wasm.shared:keys(0), " "), " ", stats.size, " ", tostring(stats.shared))'),
    );
    my %seen;
    Server::wait_for(sub {
        my @handles = map {
            my $pid = open(my $handle, '-|') // die $!;
            if (!$pid) { print +($server->get('/t'))[1]; close STDOUT; require POSIX; POSIX::_exit(0) }
            $handle;
        } 1 .. 8;
        $seen{readline $_}++ for @handles;
        keys %seen > 1;
    });
    is_deeply([sort keys %seen], ['worker0 1048576 false', 'worker1 16777216 false'], 'loaded late: each worker has a store of its own');
    my @lines = $server->log(qr/\[warn\]/);
    is(scalar @lines, 2, 'loaded late: one warning in each worker') or diag @lines;
    like($_, qr/proxy-wasm: shared data, queues and metrics are this worker's own: the library was loaded after nginx had started its workers, not with load_module or in init_by_lua/,
        'loaded late: it says why') for @lines;
    is_deeply([$server->log(qr/\[(?:error|crit|alert|emerg)\]/)], [], 'loaded late: no error');
}

says('without a master', 'wasm.shared:set("key", "x") ngx.say(keys(), " ", tostring(wasm.shared:stats().shared))', "key true\n", master => 'off');

done_testing;
