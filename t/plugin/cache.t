# Compiled code is kept on disk: compiled once on a machine, found by whoever loads it after that, and loaded only if it is this user's.

use strict;
use warnings;

use Test::More;
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Server;

# Workers of another user have to get there.
my $base = tempdir(CLEANUP => 1);
chmod 0755, $base;
for my $guest (qw(script.wasm sdk-filter.wasm add-header-rust.wasm go-filter.wasm)) {
    copy("$Server::root/build/guests/$guest", "$base/$guest") or die "$guest: $!";
}
my $count = 0;

# A folder that is not there yet.
sub new_dir { "$base/cache-" . $count++ }

# The files below a cache, of whatever user.
sub files { grep { -f } glob "$_[0]/*/*" }

# Those that are being written.
sub unfinished { grep { -f } glob "$_[0]/*/*.new" }

sub mode { sprintf '%o', (stat shift)[2] & 07777 }

my $location = <<'_EOC_';
location /t {
    content_by_lua_block { ngx.print(wasm.info(plugin).code, " ", wasm.info(plugin).cache) }
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(ctx)) }
}
_EOC_

# Lua that loads a guest.
sub load { qq{plugin = assert(wasm.load("kept", "$base/$_[0]"))\n} }

# And has it set a header.
sub run {
    my ($guest) = @_;
    return load($guest) . <<"_EOC_";
ctx = assert(wasm.on_configure(plugin, "on_response_headers add_header_map_value 2 x-kept works"))
_EOC_
}

# A configuration that loads a guest in the master, or with `where` in each worker.
sub conf {
    my ($dir, %parts) = @_;
    my $where = delete $parts{where} // 'init';
    my $guest = delete $parts{guest} // 'script.wasm';
    my $more = delete $parts{more} // '';
    return (http => "wasm_cache_path $dir; wasmedge_aot on; $more", $where => run($guest), location => $location, %parts);
}

sub start {
    my $server = Server->new(conf(@_));
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    return $server;
}

# What a request is told of the code, if the plugin has worked on it.
sub answer {
    my $server = shift;
    my ($status, $body, $headers) = $server->get('/t');
    return ($headers->{'x-kept'} // 'none') eq 'works' ? $body : "$status, and the plugin does nothing";
}

sub clean {
    my ($server, $name) = @_;
    is_deeply([$server->log(qr/\[(?:warn|error|crit|alert|emerg)\]|exited on signal/)], [], "$name: nothing bad in the log");
}

{
    my $dir = new_dir();
    is(answer(start($dir)), 'compiled miss', 'a cold start compiles');
    my @files = files($dir);
    is(scalar @files, 1, 'one file is kept');
    is(mode($files[0]), '600', 'it is private');
    is(mode("$dir/$>"), '700', 'and so is its folder');
    is(mode($dir), $> == 0 ? '1777' : '700', 'the folder of all is open to other users if root has made it');

    my $server = start($dir);
    is(answer($server), 'compiled hit', 'a warm start finds the code');
    is_deeply([files($dir)], \@files, 'and nothing else is kept');
    ok($server->reload, 'a reload');
    is(answer($server), 'compiled hit', 'after a reload it runs on');

    # What a deployment does while nginx runs.
    $server->configure(conf($dir, init => run('script.wasm') . load('sdk-filter.wasm')));
    ok($server->reload, 'a reload with another plugin');
    is(answer($server), 'compiled miss', 'another plugin is compiled');
    is(scalar files($dir), 2, 'and kept');
    clean($server, 'reloads');
}

{
    my $dir = new_dir();
    my $setup = qq{assert(wasm.setup{ cache_path = "$dir", cache_size = "64m", wasmedge_aot = "on" })\n};
    for my $word ('miss', 'hit') {
        my $server = Server->new(load_module => 0, init => $setup . run('script.wasm'), location => $location);
        $server->start;
        is(answer($server), "compiled $word", "by setup: $word");
        $server->stop;
    }
    my $server = Server->new(http => 'wasmedge_aot on;', init => run('script.wasm'), location => $location);
    $server->start;
    is(answer($server), 'compiled off', 'nothing is kept by default');
}

# Four workers that load the same at the same time, as the user that they are.
sub many {
    my ($name, %parts) = @_;
    my $dir = new_dir();
    for my $expected ([1, 3], [0, 4]) {
        my $server = start($dir, where => 'init_worker', workers => 4, location => '', %parts, init_worker => load('script.wasm')
            . 'ngx.log(ngx.NOTICE, "cache ", wasm.info(plugin).cache, ".")');
        ok(Server::wait_for(sub { 4 == $server->log(qr/cache \w+\./) }, 60), "$name: each loads");
        my ($misses, $hits) = map { scalar $server->log(qr/cache $_\./) } 'miss', 'hit';
        is_deeply([$misses, $hits], $expected, "$name: $expected->[0] of four workers compile");
        clean($server, $name);
        $server->stop;
    }
    my @files = files($dir);
    is(scalar @files, 1, "$name: one file is kept");
    return ($dir, (stat $files[0])[4]);
}

is((many('workers of this user'))[1], $>, 'the file is this user\'s');
SKIP: {
    skip 'only root can start workers of another user', 12 unless $> == 0;
    my ($dir, $owner) = many('workers of another user', user => 'nobody nogroup');
    is($owner, scalar getpwnam('nobody'), 'the file is the other user\'s');
    is_deeply([map { s{.*/}{}r } glob "$dir/*"], [scalar getpwnam('nobody')], 'in a folder of its own');
}

# A file that was tampered with is compiled anew, and replaced.
my %spoilt = (
    'a changed byte' => sub {
        open my $handle, '+<', $_[0] or die $!;
        seek $handle, 30_000, 0;
        read $handle, my $byte, 1;
        seek $handle, 30_000, 0;
        print $handle chr(ord($byte) ^ 1);
    },
    'a file that ends early' => sub { truncate $_[0], 30_000 or die $! },
    'an empty file' => sub { truncate $_[0], 0 or die $! },
    'a file that others can write' => sub { chmod 0622, $_[0] or die $! },
    'a link' => sub { rename $_[0], "$base/moved" or die $!; symlink "$base/moved", $_[0] or die $! },
    $> == 0 ? ('a file of another user' => sub { chown 65534, -1, $_[0] or die $! }) : (),
);
for my $name (sort keys %spoilt) {
    my $dir = new_dir();
    answer(start($dir));
    my ($file) = files($dir);
    $spoilt{$name}->($file);
    my $server = start($dir);
    is(answer($server), 'compiled miss', "$name is not loaded");
    clean($server, $name);
    undef $server;
    is_deeply([files($dir)], [$file], "$name: there is one file again");
    ok(! -l $file && mode($file) eq '600' && (stat $file)[4] == $>, "$name: it is private again");
    is(answer(start($dir)), 'compiled hit', "$name: and it is loaded");
}

# Where nothing can be kept, the log says why, and the plugin runs.
sub unusable {
    my ($name, $reason, $prepare) = @_;
    my $dir = new_dir();
    mkdir $dir or die $!;
    $prepare->($dir);
    my $server = start($dir);
    is(answer($server), 'compiled miss', "$name: the plugin runs");
    my @said = $server->log(qr/\[warn\].* proxy-wasm kept: compiled code is not kept in \Q$dir\E\/$>: $reason/);
    is(scalar @said, 1, "$name: a line in the log says why") or diag $server->log(qr/warn/);
    is(scalar files($dir), 0, "$name: nothing is kept");
    return $server;
}

unusable('a folder that others may use', 'other users may use it, by its mode 755',
    sub { mkdir "$_[0]/$>" or die $!; chmod 0755, "$_[0]/$>" });
unusable('a link in place of the folder', 'Not a directory',
    sub { mkdir "$_[0]-other", 0700 or die $!; symlink "$_[0]-other", "$_[0]/$>" or die $! });
SKIP: {
    skip 'only root can give a folder away', 4 unless $> == 0;
    unusable('a folder of another user', 'it belongs to another user, 65534',
        sub { mkdir "$_[0]/0", 0700 or die $!; chown 65534, -1, "$_[0]/0" or die $! });
}
SKIP: {
    skip 'only root can start workers of another user', 4 unless $> == 0;
    my $dir = new_dir();
    mkdir $dir, 0755 or die $!;
    my $server = start($dir, where => 'init_worker', user => 'nobody nogroup', init_worker => load('sdk-filter.wasm') . run('script.wasm'));
    ok(Server::wait_for(sub { answer($server) eq 'compiled miss' }, 60), 'a folder that a worker may not write to: the plugin runs');
    my $nobody = getpwnam('nobody');
    my @said = $server->log(qr/\[warn\].* proxy-wasm kept: compiled code is not kept in \Q$dir\E\/$nobody: Permission denied/);
    is(scalar @said, 1, 'a folder that a worker may not write to: it says so once');
    is_deeply([glob "$dir/*"], [], 'a folder that a worker may not write to: nothing is in it');
}

{
    my $dir = new_dir();
    my @guests = qw(script sdk-filter add-header-rust);
    my $init = join '', map { qq{assert(wasm.load("$_", "$base/$_.wasm"))\n} } @guests;
    my $server = Server->new(http => "wasm_cache_path $dir; wasm_cache_size 1m; wasmedge_aot on;", init => $init);
    my ($ok, $output) = $server->start;
    ok($ok, 'a small cache: nginx starts') or diag $output;
    my $sum = 0;
    $sum += -s for files($dir);
    cmp_ok($sum, '>', 100_000, 'a small cache: something is kept');
    cmp_ok($sum, '<=', 1 << 20, 'a small cache: it is not larger than it may be');
    cmp_ok(scalar files($dir), '<', @guests, 'a small cache: not all is kept');
    clean($server, 'a small cache');
}

{
    # go-filter takes long enough to be caught at it
    my $dir = new_dir();
    my $server = start($dir, where => 'init_worker', guest => 'go-filter.wasm');
    ok(Server::wait_for(sub { scalar unfinished($dir) }, 60), 'a worker that compiles');
    my ($worker) = $server->workers;
    kill 'KILL', $worker;
    ok(Server::wait_for(sub { grep { $_ != $worker } $server->workers }), 'is killed, and has a successor');
    ok(Server::wait_for(sub { files($dir) && !unfinished($dir) }, 90), 'which compiles');
    ok(Server::wait_for(sub { ($server->get('/t'))[1] =~ /miss/ }, 60), 'and loads the plugin');
    is(scalar files($dir), 1, 'what the first had begun is gone');
    is_deeply([$server->log(qr/\[(?:warn|error|crit|emerg)\]/)], [], 'nothing else is in the log');
}

for my $case (
    ['wasm_cache_path cache', 'bad wasm_cache_path "cache", it must be a full path'],
    ['wasm_cache_path /nowhere/cache', 'bad wasm_cache_path "/nowhere/cache": No such file or directory'],
    ["wasm_cache_path $base/script.wasm", qq{bad wasm_cache_path "$base/script.wasm": Not a directory}],
    ['wasm_cache_size 1023k', 'bad wasm_cache_size "1023k", it must be a size from 1m to 64g'],
    ['wasm_cache_size 65g', 'bad wasm_cache_size "65g", it must be a size from 1m to 64g'],
) {
    my ($directive, $error) = @$case;
    my ($ok, $output) = Server->new(require => 0, http => "$directive;")->check;
    ok(!$ok, "$directive is refused");
    like($output, qr/\[emerg\].* \Q$error\E in /, "$directive: with the reason");
}

done_testing();
