# wasm.metrics(): what plugins and the library count, as Prometheus reads it.

use strict;
use warnings;

use IPC::Open2;
use Test::More;
use Server;

# Says what Prometheus's own parser reads: NAME TYPE for each family, NAME{LABEL="…",…} VALUE for each sample.
my $parser = <<'_EOC_';
import json, sys
from prometheus_client.parser import text_string_to_metric_families

for family in text_string_to_metric_families(sys.stdin.buffer.read().decode()):
    print("family", family.name, family.type)
    for sample in family.samples:
        labels = ",".join(name + "=" + json.dumps(value) for name, value in sorted(sample.labels.items()))
        print("sample", sample.name + "{" + labels + "}", f"{sample.value:.15g}")
_EOC_

# The types of families, and the values of samples.
sub parse {
    my ($text) = @_;
    # Debian's, which has the package
    my $python = $ENV{PYTHON} // '/usr/bin/python3';
    # may be for an engine that comes from another release
    delete local $ENV{LD_LIBRARY_PATH};
    my $pid = open2(my $out, my $in, $python, '-c', $parser);
    print $in $text;
    close $in;
    my (%types, %values);
    while (<$out>) {
        my ($kind, $name, $value) = /^(\w+) (.*) (\S+)$/ or die $_;
        ($kind eq 'family' ? \%types : \%values)->{$name} = $value;
    }
    waitpid $pid, 0;
    is($?, 0, 'the text is what Prometheus reads');
    return (\%types, \%values);
}

my $locations = <<'_EOC_';
location = /metrics {
    default_type "text/plain; version=0.0.4";
    content_by_lua_block { ngx.print(assert(wasm.metrics())) }
}
location = /p {
    access_by_lua_block {
        local n = tonumber(ngx.var.arg_n)
        for i = n or 1, n or #contexts do
            wasm.on_http_request_headers(contexts[i])
        end
    }
    content_by_lua_block { ngx.print(ngx.worker.pid()) }
}
location = /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
_EOC_

sub server {
    my (%parts) = @_;
    my $server = Server->new(%parts, location => $locations . ($parts{location} // ''));
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    return $server;
}

# Lua for plugin contexts that /p runs: the guest script, by names and configurations.
sub scripts {
    my (@plugins) = @_;
    my $init = "contexts = {}\n";
    while (my ($name, $conf) = splice @plugins, 0, 2) {
        $init .= "contexts[#contexts + 1] = assert(wasm.on_configure(assert(wasm.load([[$name]], guests .. 'script.wasm')), [==[\n$conf]==]))\n";
    }
    return $init;
}

sub metrics {
    my ($server) = @_;
    my ($status, $text) = $server->get('/metrics');
    is($status, 200, 'metrics are there');
    return parse($text);
}

sub is_metric {
    my ($values, $name, $value, $what) = @_;
    is($values->{$name}, $value, $what) or diag explain $values;
}

{
    my $server = server(init => 'first = assert(wasm.metrics())', location => 'location /first { content_by_lua_block { ngx.print(first) } }');
    my ($types, $values) = metrics($server);
    # the parser leaves "_total" out
    is_deeply($types, {
        proxy_wasm_shm_size_bytes => 'gauge', proxy_wasm_shm_used_bytes => 'gauge', proxy_wasm_shm_keys => 'gauge',
        proxy_wasm_shm_queue_items => 'gauge', proxy_wasm_shm_evicted => 'counter', proxy_wasm_shm_recovered => 'counter',
        proxy_wasm_shm_emptied => 'counter',
    }, 'without a plugin: what there is of the store');
    is_metric($values, 'proxy_wasm_shm_size_bytes{}', 16 << 20, 'without a plugin: its size');
    my ($then) = parse(($server->get('/first'))[1]);
    is_deeply($then, $types, 'without a plugin: the same in init_by_lua');
}

{
    my $server = server(init => scripts(
        one => <<'_EOC_',
on_configure as c define_metric 0 requests
on_configure as g define_metric 1 wasm.load
on_configure as h define_metric 2 "my latency"
on_configure as odd define_metric 0 "1\"\n\\\xff"
on_configure as taken define_metric 0 proxy_wasm_requests_total
on_configure as part define_metric 0 my_latency_count
on_request_headers increment_metric %c 2
on_request_headers record_metric %g 5
on_request_headers increment_metric %g -7
on_request_headers record_metric %h 7
on_request_headers record_metric %h 4000000
on_request_headers increment_metric %odd 1
on_request_headers increment_metric %taken 9
_EOC_
        "a \"b\"\\\nc" => <<'_EOC_',
on_configure as c define_metric 0 requests
on_configure as g define_metric 0 wasm.load
on_request_headers increment_metric %c 10
on_request_headers increment_metric %g 100
_EOC_
    ));
    $server->get('/p') for 1 .. 3;
    my ($types, $values) = metrics($server);

    is($types->{requests}, 'counter', 'a counter');
    is_metric($values, 'requests_total{plugin="one"}', 6, 'a counter: its value');
    is_metric($values, 'requests_total{plugin="a \"b\"\\\\\nc"}', 30, 'a counter: that of another plugin, whatever its name is');
    is($types->{wasm_load}, 'gauge', 'a gauge');
    is_metric($values, 'wasm_load{plugin="one"}', -2, 'a gauge: below 0');
    is($types->{wasm_load_2}, 'counter', 'a name that is taken for another type gets a number');
    is_metric($values, 'wasm_load_2_total{plugin="a \"b\"\\\\\nc"}', 300, 'a name with a number: its value');
    is($types->{my_latency}, 'histogram', 'a histogram');
    my %buckets = map { /^my_latency_bucket\{le="(.*)",plugin="one"\}$/ ? ($1 + 0, $values->{$_}) : () } keys %$values;
    is(join(' ', map { "$_:$buckets{$_}" } sort { $a <=> $b } keys %buckets),
        '0.5:0 1:0 5:0 10:3 25:3 50:3 100:3 250:3 500:3 1000:3 2500:3 5000:3 10000:3 30000:3 60000:3 300000:3 600000:3 1800000:3 3600000:3 Inf:6', 'a histogram: its buckets');
    is_metric($values, 'my_latency_sum{plugin="one"}', 3 * 4000007, 'a histogram: its sum');
    is_metric($values, 'my_latency_count{plugin="one"}', 6, 'a histogram: how many samples');
    is_metric($values, '_1_____total{plugin="one"}', 3, 'a name that is none to Prometheus');
    is_metric($values, 'proxy_wasm_requests_total{plugin="one"}', 3, "the library's own keep their names");
    is_metric($values, 'proxy_wasm_requests_total_2_total{plugin="one"}', 27, "a plugin's of such a name gets a number");
    is_metric($values, 'my_latency_count_2_total{plugin="one"}', 0, "so does one of a histogram's");
}

{
    my $port = $Server::port;
    my $server = server(http => 'wasm_deadline 100ms;', init => scripts(
        fine => '#',
        traps => 'on_request_headers trap',
        calls => <<"_EOC_",
on_request_headers http_call 127.0.0.1:$port (:path=/pid) "" () 5000
on_request_headers http_call 127.0.0.1:1 () "" () 5000
_EOC_
    ) . 'contexts[4] = assert(wasm.on_configure(assert(wasm.load("loops", wat .. "endless-loop.wat")), "x"))');
    my @plugins = qw(fine traps calls loops);
    for my $n (1 .. @plugins) {
        $server->get("/p?n=$n") for 1 .. 3;
    }
    my ($types, $values) = metrics($server);
    for my $case (
        ['proxy_wasm_requests_total', 'counter', 3, 3, 3, 3],
        ['proxy_wasm_traps_total', 'counter', 0, 3, 0, 3],
        ['proxy_wasm_deadline_exceeded_total', 'counter', 0, 0, 0, 3],
        ['proxy_wasm_restarts_total', 'counter', 0, 2, 0, 2],
        ['proxy_wasm_calls_total', 'counter', 0, 0, 6, 0],
        ['proxy_wasm_calls_failed_total', 'counter', 0, 0, 3, 0],
        ['proxy_wasm_calls_outstanding', 'gauge', 0, 0, 0, 0],
        ['proxy_wasm_instances', 'gauge', 1, 1, 1, 1],
    ) {
        my ($name, $type, @expected) = @$case;
        my $family = $name =~ s/_total$//r;
        is($types->{$family}, $type, "$name: a $type");
        is_deeply([map { $values->{qq[$name\{plugin="$_"\}]} } @plugins], \@expected, "$name: of each plugin");
    }
    is($types->{proxy_wasm_memory_bytes}, 'gauge', 'proxy_wasm_memory_bytes: a gauge');
    is_metric($values, 'proxy_wasm_memory_bytes{plugin="loops"}', 65536, 'proxy_wasm_memory_bytes: a page');
    cmp_ok($values->{'proxy_wasm_memory_bytes{plugin="fine"}'}, '>', 65536, 'proxy_wasm_memory_bytes: more');
    is($types->{proxy_wasm_callback_seconds}, 'histogram', 'proxy_wasm_callback_seconds: a histogram');
    my ($below, $all, $count, $sum) = @$values{map { qq[proxy_wasm_callback_seconds_$_] }
        'bucket{le="0.1",plugin="loops"}', 'bucket{le="+Inf",plugin="loops"}', 'count{plugin="loops"}', 'sum{plugin="loops"}'};
    is($count - $below, 3, 'proxy_wasm_callback_seconds: those that took too long');
    is($all, $count, 'proxy_wasm_callback_seconds: the last bucket has all');
    cmp_ok($sum, '>', 0.3, 'proxy_wasm_callback_seconds: their sum');
}

# Waits until metrics of the plugin p have these values.
sub comes_to {
    my ($server, $what, %expected) = @_;
    my %found;
    Server::wait_for(sub {
        my ($status, $text) = $server->get('/metrics');
        %found = map { $_ => $text =~ /^$_\{plugin="p"\} (\S+)$/m ? $1 : undef } keys %expected;
        !grep { ($found{$_} // '') ne $expected{$_} } keys %expected;
    });
    is_deeply(\%found, \%expected, $what);
}

{
    my $conf = "on_configure as c define_metric 0 configured\non_configure increment_metric %c 1\n";
    my %parts = (workers => 2, init => scripts(p => $conf), init_worker => 'assert(wasm.init_worker())');
    my $server = server(%parts);
    comes_to($server, 'two workers and the master add up', configured => 3, proxy_wasm_instances => 2);
    ok($server->reload, 'a reload');
    comes_to($server, 'what was counted is kept', configured => 6, proxy_wasm_instances => 2);
    kill 'KILL', ($server->workers)[0];
    comes_to($server, 'what a killed worker had is gone, what it counted is not', configured => 7, proxy_wasm_instances => 2);
    $server->configure(%parts, location => $locations, http => 'wasm_shm_size 2m;');
    ok($server->reload, 'a reload with another size');
    comes_to($server, 'metrics begin anew', configured => 3, proxy_wasm_instances => 2);
}

{
    my $port = $Server::port;
    my $server = server(
        workers => 2,
        init => scripts(p => qq{on_request_headers http_call 127.0.0.1:$port (:path=/hold) "" () 60000\n}),
        location => 'location = /hold { content_by_lua_block { repeat ngx.sleep(0.02) until wasm.shared:get("go") } }'
            . 'location = /go { content_by_lua_block { wasm.shared:set("go", "x") } }',
    );
    my @clients = map {
        my $pid = fork // die $!;
        if (!$pid) { $server->get('/p'); require POSIX; POSIX::_exit(0) }
        $pid;
    } 1 .. 3;
    comes_to($server, 'calls that are not answered', proxy_wasm_calls_total => 3, proxy_wasm_calls_outstanding => 3);
    $server->get('/go');
    comes_to($server, 'calls that are', proxy_wasm_calls_total => 3, proxy_wasm_calls_failed_total => 0, proxy_wasm_calls_outstanding => 0);
    waitpid $_, 0 for @clients;
}

done_testing;
