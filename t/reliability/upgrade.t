# The library replaced on disk under an nginx that runs, and nginx upgraded on the fly: no request fails, and it is always clear which
# library runs.

use strict;
use warnings;

use Test::More;
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use Time::HiRes qw(sleep);
use Server;

my $name = 'libresty_proxy_wasm.so';
my $tested = $Server::file;
my $folder = "$Server::root/build/upgrade-$$";
make_path($folder);
END { remove_tree($folder) if $folder }

# nginx that is started through a loader of its own cannot start itself again
my $can_upgrade = do {
    open my $binary, '<', $ENV{TEST_NGINX_BINARY} // '/dev/null' or die $!;
    read $binary, my $magic, 2;
    $magic ne '#!';
};

# Another library in the place of the one at `path`, as installing does it. It differs by what is at its end.
my $builds = 0;
sub build {
    my $path = shift;
    make_path($path =~ s{/[^/]*$}{}r);
    copy($tested, "$path.new") or die $!;
    open my $file, '>>', "$path.new" or die $!;
    print $file ++$builds;
    close $file;
    rename "$path.new", $path or die $!;
}

sub at {
    my $where = shift;
    ($Server::file, $Server::library) = ("$where/$name", $where);
}

my $init = <<'_EOC_';
chain = assert(wasm.chain{
    { path = guests .. "sdk-filter.wasm", conf = "add_response=x-rust:yes\nreplace_response_body=other" },
    { path = guests .. "c-filter.wasm", conf = "yes" },
    { path = guests .. "storm.wasm", conf = "jobs" },
})
refuses = assert(wasm.on_configure(assert(wasm.load("script", guests .. "script.wasm")), 'on_response_headers send_local_response 418 "" teapot'))
endless = assert(wasm.on_configure(assert(wasm.load("endless", wat .. "endless-loop.wat")), "x"))
_EOC_

my $location = <<'_EOC_';
location /t {
    access_by_lua_block { chain:access() }
    header_filter_by_lua_block { chain:header_filter() }
    body_filter_by_lua_block { return chain:body_filter() }
    content_by_lua_block { ngx.print("hello") }
}
location /refused {
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(refuses)) }
    content_by_lua_block { ngx.print("hello") }
}
location /endless { access_by_lua_block { wasm.on_http_request_headers(endless) ngx.print("ended") } }
location /set { content_by_lua_block { assert(wasm.shared:set("key", ngx.var.args)) ngx.print("set") } }
location /get { content_by_lua_block { ngx.print(tostring(wasm.shared:get("key"))) } }
location /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
_EOC_

# The libraries that a process has mapped, by inode.
sub mapped {
    my $pid = shift;
    open my $maps, '<', "/proc/$pid/maps" or return '';
    my %seen;
    my @found = grep { !$seen{$_}++ } map { /\s(\d+)\s+\S*\Q$name\E/ ? $1 : () } <$maps>;
    return join ' ', @found;
}

sub inode { (stat shift)[1] }

sub serves {
    my ($server, $what) = @_;
    my ($status, $body, $headers) = $server->get('/t');
    is("$status $body $headers->{'x-rust'} $headers->{'x-c'}", '200 other yes yes', "$what: plugins run");
    is(join(' ', ($server->get('/refused'))[0, 1]), '418 teapot', "$what: and take the place of a response");
}

sub data { (shift->get('/get'))[1] }

my @asked = ('/t', '/refused');
my %expected = ('/t' => '200 other', '/refused' => '418 teapot');

# Clients that ask all the time.
sub load {
    my $server = shift;
    $server->begin(2, sub {
        my ($client, $n) = @_;
        my $path = $asked[$n % 2];
        sleep 0.01;
        my ($status, $body) = $server->get($path);
        return "$status $body" eq $expected{$path} ? '' : "$path: $status $body";
    });
}

sub is_served {
    my ($server, $what) = @_;
    my @answers = $server->finish;
    note scalar(@answers), ' requests';
    cmp_ok(scalar @answers, '>', 20, "$what: there were requests all the time");
    is_deeply([grep { $_ } @answers], [], "$what: and none failed");
}

my $bad = qr/\[(?:error|crit|alert|emerg)\]|exited on signal|panicked/;

for my $door (['load_module'], ['FFI alone', load_module => 0]) {
    my ($door_name, %door) = @$door;
    my $where = "$folder/" . (%door ? 'ffi' : 'module');
    build("$where/$name");
    at($where);
    my %parts = (init => $init, location => $location, workers => 2, level => 'warn', %door);
    my $server = Server->new(%parts);
    my ($ok, $output) = $server->start;
    ok($ok, "$door_name: nginx starts") or diag $output;
    is(($server->get('/set?one'))[1], 'set', "$door_name: data is set");
    load($server);

    my $first = inode("$where/$name");
    for my $n (1 .. 3) {
        build("$where/$name");
        isnt(inode("$where/$name"), $first, "$door_name: another library is there");
        serves($server, "$door_name, replaced");
        ok($server->reload(60), "$door_name: a reload");
        serves($server, "$door_name, reloaded");
        is(mapped($_), $first, "$door_name: it runs on with the first") for $server->pid, ($server->workers)[0];
    }
    is(data($server), 'one', "$door_name: the data is still there");

    my @workers = $server->workers;
    {
        # Lua files that are newer than the library
        system 'cp', '-r', "$Server::root/lib", "$where/lua";
        my $file = "$where/lua/resty/proxy-wasm/cdefs.lua";
        open my $in, '<', $file or die $!;
        my $text = do { local $/; <$in> };
        $text =~ s/^int proxy_wasm_init\(/int proxy_wasm_later(void);\n$&/m or die 'no declarations';
        open my $out, '>', $file or die $!;
        print $out $text;
        close $out;
        local $ENV{LUA_PATH_PREFIX} = "$where/lua/?.lua;" . ($ENV{LUA_PATH_PREFIX} // '');
        $server->configure(%parts);
        $server->signal('HUP');
        ok(Server::wait_for(sub { $server->log(qr/init_by_lua error: .*are not of the same version: an update takes a restart of nginx/) }, 20),
            "$door_name: Lua files of another version are refused");
        is_deeply([$server->workers], \@workers, "$door_name: the workers stay");
    }
    $server->configure(%parts);
    serves($server, "$door_name, refused");
    is_served($server, $door_name);
    kill 'KILL', @workers;
    ok(Server::wait_for(sub { 2 == grep { $_ != $workers[0] && $_ != $workers[1] } $server->workers }, 20), "$door_name: workers that start later");
    serves($server, "$door_name, started later");
    my @strange = grep { !/not of the same version|exited on signal 9/ } $server->log($bad);
    is_deeply(\@strange, [], "$door_name: nothing else in the log");
    ok($server->stop('QUIT'), "$door_name: nginx ends");
}

{
    # another path, as those have whose folders are named for versions
    build("$folder/$_/$name") for 1, 2;
    at("$folder/1");
    my %parts = (init => $init, location => $location, level => 'warn');
    my $server = Server->new(%parts, http => 'wasm_deadline 100ms;');
    $server->start;
    my @workers = $server->workers;
    at("$folder/2");
    $server->configure(%parts, http => 'wasm_deadline 200ms;');
    $server->signal('HUP');
    ok(Server::wait_for(sub { $server->log(qr{\[emerg\] .*\Q$folder\E/1/$name is loaded already: another takes a restart of nginx in \S+nginx\.conf:\d+$}) }, 20),
        'another path: refused, with the one that is loaded');
    is_deeply([$server->workers], \@workers, 'another path: the workers stay');
    serves($server, 'another path');
    my $took = sub { $server->get('/endless'); ($server->log(qr/trapped: it took more than/))[-1] =~ /more than (\d+) ms/ ? $1 : 0 };
    is($took->(), 100, 'another path: the directives are those of before');

    # directives go with what knows them
    at("$folder/1");
    $server->configure(%parts, load_module => 0, init => "assert(wasm.setup{ deadline = '300ms' })\n$init");
    ok($server->reload(60), 'a reload without load_module');
    serves($server, 'without load_module');
    is($took->(), 300, 'the directives went with it');
    $server->configure(%parts, http => 'wasm_deadline 150ms;');
    ok($server->reload(60), 'a reload with load_module');
    is($took->(), 150, 'the directives are back');
}

{
    # by FFI alone another path is another library, with all that is its own
    build("$folder/$_/$name") for 3, 4;
    at("$folder/3");
    my %parts = (init => $init, location => $location, level => 'warn', load_module => 0);
    my $server = Server->new(%parts);
    $server->start;
    $server->get('/set?one');
    load($server);
    at("$folder/4");
    $server->configure(%parts);
    ok($server->reload(60), 'another path by FFI: a reload');
    serves($server, 'another path by FFI');
    my $other = inode("$folder/4/$name");
    like(mapped(($server->workers)[0]), qr/\b$other\b/, 'another path by FFI: it is loaded');
    is(data($server), 'nil', 'another path by FFI: it has other shared data');
    my $before = Server::usage($server->pid);
    $server->reload(60) for 1 .. 3;
    my $after = Server::usage($server->pid);
    cmp_ok($after->{memory} - $before->{memory}, '<', 4096, 'another path by FFI: nothing grows with reloads');
    is_deeply($after->{threads}, $before->{threads}, 'another path by FFI: nor are there threads');
    is_served($server, 'another path by FFI');
    is_deeply([$server->log($bad)], [], 'another path by FFI: nothing in the log');
    ok($server->stop('QUIT'), 'another path by FFI: nginx ends');
}

SKIP: {
    skip 'this nginx cannot start itself again', 1 unless $can_upgrade;
    for my $door (['load_module'], ['FFI alone', load_module => 0]) {
        my ($door_name, %door) = @$door;
        $door_name = "upgrade, $door_name";
        my $where = "$folder/upgrade-" . (%door ? 'ffi' : 'module');
        build("$where/$name");
        at($where);
        my $server = Server->new(init => $init, location => $location, workers => 2, level => 'warn', init_worker => 'assert(wasm.init_worker())', %door);
        my ($ok, $output) = $server->start;
        ok($ok, "$door_name: nginx starts") or diag $output;
        $server->get('/set?one');
        load($server);
        for my $goes ('back', 'on') {
            my $old = $server->pid;
            my $before = mapped($old);
            build("$where/$name");
            $server->signal('USR2');
            ok(Server::wait_for(sub { ($server->pid // $old) != $old && $server->workers == 2 }, 60), "$door_name: USR2 brings another master");
            my $new = $server->pid;
            is(mapped($old), $before, "$door_name: the old one has the old library");
            is(mapped($new), inode("$where/$name"), "$door_name: the new one the new library");
            serves($server, "$door_name, both");
            # the new master is one
            my $children = sub { my @pids = split ' ', `ps -o pid= --ppid $old`; scalar @pids };
            kill 'WINCH', $old;
            ok(Server::wait_for(sub { $children->() == 1 }, 60), "$door_name: WINCH ends the old workers");
            serves($server, "$door_name, the new one");
            is(data($server), 'nil', "$door_name: its shared data begins empty");
            if ($goes eq 'back') {
                kill 'HUP', $old;
                ok(Server::wait_for(sub { $children->() == 3 }, 60), "$door_name: HUP starts the old workers again");
                kill 'QUIT', $new;
                ok(Server::wait_for(sub { !Server::alive($new) && ($server->pid // 0) == $old }, 60), "$door_name: QUIT ends the new master");
                serves($server, "$door_name, back");
                is(data($server), 'one', "$door_name: the old data is there");
            } else {
                kill 'QUIT', $old;
                ok(Server::wait_for(sub { !Server::alive($old) }, 60), "$door_name: QUIT ends the old master");
                serves($server, "$door_name, on");
                $server->get('/set?one');
            }
        }
        ok($server->reload(60), "$door_name: a reload of the new one");
        serves($server, "$door_name, reloaded");
        is_served($server, $door_name);
        is_deeply([$server->log($bad)], [], "$door_name: nothing in the log");
        ok($server->stop('QUIT'), "$door_name: nginx ends");
    }
}

# what installs it
SKIP: {
    my $built = "$Server::root/" . ($Server::vm eq 'wasmedge' ? 'build/wasmedge' : 'target') . "/release/$name";
    skip 'the library is not built', 1 unless -e $built;
    my $where = "$folder/installed";
    build("$where/$name");
    at($where);
    my $server = Server->new(init => $init, location => $location, level => 'warn');
    $server->start;
    my $before = inode("$where/$name");
    load($server);
    for (1 .. 3) {
        my $output = `cd $Server::root && WASM_VM=$Server::vm LUA_CLIB_DIR=$where LUA_LIB_DIR=$where/lua INCLUDE_DIR=$where/include ci/install.sh 2>&1`;
        is($?, 0, 'installing') or diag $output;
    }
    isnt(inode("$where/$name"), $before, 'installing makes another file');
    is_deeply([glob("$where/.* $where/*")], [map { "$where/$_" } '.', '..', 'include', $name, 'lua'], 'and leaves nothing else');
    is(mapped($server->pid), $before, 'the one that runs keeps its own');
    serves($server, 'installed');
    is_served($server, 'installed');
    is_deeply([$server->log($bad)], [], 'installed: nothing in the log');
}

done_testing();
