# Reloads over and over under load: no request fails, and nothing is left of the configurations before. HUPS says how often, 40.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use Server;

my $hups = $ENV{HUPS} // 40;
# so that what is made once is there
my $warm = 10;

# Who is called. It is not reloaded: a call on a kept connection fails where its server ends as it is sent.
my $upstream = Server->new(port => $Server::port + 1, load_module => 0, require => 0, location => 'location / { return 200 "up"; }');
$upstream->start;

my $server = Server->new(
    workers => 2,
    level => 'notice',
    # the machine may have other things to do
    http => 'wasm_deadline 30s;',
    init => <<"_EOC_",
local upstream = "127.0.0.1:$upstream->{port}"
-- what was freed is used again before a process grows
local ffi = require "ffi"
ffi.cdef[[
struct mallinfo2 { size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost; };
struct mallinfo2 mallinfo2(void);
]]
local heap = ffi.C.mallinfo2()
ngx.log(ngx.NOTICE, "heap: ", tonumber(heap.uordblks + heap.hblkhd))
chain = assert(wasm.chain{
    { path = guests .. "sdk-filter.wasm", conf = "add_response=x-rust:yes\\nreplace_response_body=other" },
    { path = guests .. "go-filter.wasm", conf = "yes" },
    { path = guests .. "add-header-assemblyscript.wasm", name = "add_header", conf = "yes" },
    { path = guests .. "c-filter.wasm", conf = "yes" },
    { path = guests .. "storm.wasm", conf = "jobs" },
    { path = guests .. "metrics.wasm" },
    { path = guests .. "tick-logger.wasm", conf = { period_ms = 10, collector = { upstream = upstream, path = "/" } } },
    { path = guests .. "forward-auth.wasm", conf = { upstream = upstream, path = "/" } },
})
_EOC_
    init_worker => <<'_EOC_',
assert(wasm.init_worker())
worker_chain = assert(wasm.chain{
    { path = guests .. "sdk-filter.wasm", conf = "add_response=x-rust:worker" },
    { path = guests .. "storm.wasm", name = "worker-storm", conf = "worker-jobs" },
})
_EOC_
    location => <<'_EOC_',
location / {
    access_by_lua_block { (ngx.var.uri == "/worker" and worker_chain or chain):access() }
    header_filter_by_lua_block { (ngx.var.uri == "/worker" and worker_chain or chain):header_filter() }
    body_filter_by_lua_block { return (ngx.var.uri == "/worker" and worker_chain or chain):body_filter() }
    content_by_lua_block { ngx.print("hello") }
}
location /metrics { content_by_lua_block { ngx.print(wasm.metrics()) } }
_EOC_
);
my ($ok, $output) = $server->start;
ok($ok, 'nginx starts') or diag $output;
my $master = $server->pid;

my %answers = ('/' => '200 other yes yes yes', '/worker' => '200 hello worker none none');

sub answer {
    my $path = shift;
    my ($status, $body, $headers) = $server->get($path);
    return join ' ', $status, $body, map { $headers->{$_} // 'none' } 'x-rust', 'x-go', 'x-c';
}

$server->begin(3, sub {
    my ($client, $n) = @_;
    my $path = $n % 2 ? '/' : '/worker';
    my $answer = answer($path);
    return $answer eq $answers{$path} ? $path : "$path: $answer";
});

# What the master and one of its workers have, once the workers before are gone.
sub usage {
    my $is_alone = sub {
        my %children = map { $_ => 1 } split ' ', `ps -o pid= --ppid $master`;
        delete $children{$_} for $server->workers;
        return !%children;
    };
    Server::wait_for($is_alone, 60) or return {};
    my ($worker) = $server->workers;
    return { master => Server::usage($master), worker => Server::usage($worker) };
}

my ($before, @took);
my $came = 0;
for my $n (1 .. $hups) {
    my $begun = time;
    $came++ if $server->reload(60);
    push @took, time - $begun;
    $before = usage() if $n == $warm;
}
my $after = usage();
my @requests = $server->finish;
@took = sort { $a <=> $b } @took;
note sprintf '%d reloads, %d requests; a reload took %.0f ms at the middle, %.0f ms at most', $hups, scalar @requests,
    1000 * $took[@took / 2], 1000 * $took[-1];

is($came, $hups, 'each reload brings other workers');
is($server->pid, $master, 'the master is the same');
my @failed = grep { !$answers{$_} } @requests;
is_deeply([@failed[0 .. ($#failed < 9 ? $#failed : 9)]], [], 'no request failed');

is(scalar @{ $_->{master}{threads} }, 1, 'the master has no thread beside its own') for $before, $after;
is($after->{master}{descriptors}, $before->{master}{descriptors}, 'the master has no descriptor more than after some reloads');
for my $process ('master', 'worker') {
    my @memory = map { $_->{$process}{memory} // 0 } $before, $after;
    note "the $process: $memory[0] KB after $warm reloads, $memory[1] KB after $hups";
    cmp_ok($memory[0], '>', 0, "the $process has memory of its own");
    # a Lua VM with its plugins has more than this in 30 reloads
    cmp_ok($memory[1] - $memory[0], '<', 4096, "and the $process no more than after some reloads");
}
my @heap = map { /heap: (\d+)/ ? $1 / 1024 : () } $server->log(qr/heap: /);
note sprintf 'the master has %.0f KB from malloc after %d reloads, %.0f KB after %d', $heap[$warm - 1], $warm, $heap[-1], $hups;
cmp_ok($heap[-1] - $heap[$warm - 1], '<', 1024, 'the master has nothing more from malloc');
my ($text) = ($server->get('/metrics'))[1];
my %counted = map { my $plugin = $_; $plugin => $text =~ /^proxy_wasm_requests_total\{plugin="$plugin"\} (\d+)$/m } 'go-filter', 'worker-storm';
my %sent;
$sent{$_}++ for @requests;
is($counted{'go-filter'}, $sent{'/'}, 'the metrics have counted each request');
is($counted{'worker-storm'}, $sent{'/worker'}, 'those of a plugin of init_worker_by_lua too');
like($text, qr/^proxy_wasm_instances\{plugin="go-filter"\} 2$/m, 'and there are as many instances as workers');
is_deeply([$server->log(qr/\[(?:warn|error|crit|alert|emerg)\]|panicked/)], [], 'nothing is in the log');
ok($server->stop('QUIT'), 'nginx ends');

done_testing();
