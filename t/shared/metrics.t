# Metrics: one value in all workers, whatever becomes of those, and as Prometheus' own client reads them.

use strict;
use warnings;

use Test::More;
use IPC::Open2 qw(open2);
use List::Util qw(sum);
use Storm;

my $parser = <<'_EOC_';
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
        print(f"{sample.name}{{{labels}}} {int(sample.value) if sample.value % 1 == 0 else sample.value}")
_EOC_

# All samples, by name and labels. The client ends a counter's name with _total.
sub samples {
    my $server = shift;
    my ($status, $text) = $server->get('/metrics');
    # may be for an engine that comes from another release
    delete local $ENV{LD_LIBRARY_PATH};
    my $pid = open2(my $out, my $in, $ENV{PYTHON} // '/usr/bin/python3', '-c', $parser);
    print $in $text;
    close $in;
    my %samples = map { /^(.*) (\S+)$/ } <$out>;
    waitpid $pid, 0;
    is($? >> 8, 0, "Prometheus' client reads the text");
    return \%samples;
}

{
    my $server = Storm->new;
    my @connections = $server->connections;
    my $all = sub {
        $connections[$_]->send('/', 'x-do' => $_[$_]) for 0 .. 3;
        return map { ($_->receive)[1] } @connections;
    };
    $all->(('add hits_total 5000') x 4);
    is_deeply([$all->(('metric hits_total') x 4)], [(20_000) x 4], 'a counter that four workers add to has the same value in each');
    $all->('gauge level 3 5000', 'gauge level -2 5000', 'gauge level 3 5000', 'gauge level -5 5000');
    $all->(map { "sample took $_ 1000" } 0, 7, 300, 5_000_000);

    my $is_as_before = sub {
        my ($hits, $name) = @_;
        my $samples = samples($server);
        my $sample = sub { $samples->{"$_[0]\{plugin=\"storm\"$_[1]}"} };
        is($sample->('hits_total', ''), $hits, "$name: the counter");
        is($sample->('level', ''), -5000, 'the gauge');
        is($sample->('took_count', ''), 4000, 'the number of samples');
        is($sample->('took_sum', ''), 5_000_307_000, 'their sum');
        is($sample->('took_bucket', ",le=\"$_->[0]\""), $_->[1], "$_->[1] of them up to $_->[0]")
            for ['0.5', 1000], ['5', 1000], ['10', 2000], ['250', 2000], ['500', 3000], ['3600000', 3000], ['+Inf', 4000];
    };
    $is_as_before->(20_000, 'as operators see');

    ok($server->reload, 'a reload');
    $is_as_before->(20_000, 'after it');
    kill 'KILL', $server->workers;
    ok(Server::wait_for(sub { $server->ask('add hits_total 1') eq '20001' }), 'workers that are killed and replaced go on');
    $is_as_before->(20_001, 'after it');
    is_deeply([grep { !/exited on signal 9/ } $server->problems], [], 'nothing else in the log');
}

{
    my $server = Storm->new;
    my $before = $server->stat('metrics');
    is_deeply([$server->ask_all('define m 10000')], [(10_000) x 4], 'four workers define the same 10,000 metrics at the same time');
    is($server->stat('metrics') - $before, 10_000, 'and there are 10,000');
    $server->ask_all('add m9999 2500');
    my $samples = samples($server);
    is(scalar(grep { /^m\d+_total\{plugin="storm"}$/ } keys %$samples), 10_000, 'all are there');
    is(sum(map { $samples->{"m${_}_total{plugin=\"storm\"}"} // -1 } 0 .. 9999), 10_000, 'with their values');
    is($samples->{'m9999_total{plugin="storm"}'}, 10_000, 'in the right place');
    is_deeply([$server->problems], [], 'nothing in the log');
}

{
    my $server = Storm->new(size => '1m', plugins => <<'_EOC_');
chains["/other"] = assert(wasm.chain{ { path = guests .. "storm.wasm", name = "other" } })
_EOC_
    my $answer = $server->ask('define m 10000');
    like($answer, qr/^\d{4} status 10$/, 'at some time no more can be defined');
    my ($count) = $answer =~ /^(\d+)/;
    is_deeply([$server->ask_all('add new 1')], [('0 status 10') x 4], 'in no worker');
    is(($server->get('/other', 'x-do' => 'add new 1'))[1], '0 status 10', 'by no plugin');
    is($server->ask("define m $count"), $count, 'those that there are are found');
    is($server->ask('add m' . ($count - 1) . ' 5'), '5', 'and go on');
    is($server->ask('set key value'), '1', 'there is room for data');
    my $samples = samples($server);
    is($samples->{'m' . ($count - 1) . '_total{plugin="storm"}'}, 5, 'operators see them');
    is(scalar(grep { /^m\d/ } keys %$samples), $count, 'all');
    is_deeply([grep { !/no room/ } $server->problems], [], 'nothing else in the log');
}

{
    my $server = Storm->new(deadline => '500ms', plugins => <<'_EOC_');
for _, name in ipairs{ "trap-on-request", "endless-loop" } do
    chains["/" .. name] = assert(wasm.chain{ { path = wat .. name .. ".wat" } })
end
_EOC_
    my $of = sub { my ($name, $plugin) = @_; $server->sample("proxy_wasm_$name\{plugin=\"$plugin\"}") };
    my $instances = sub { join ' ', map { $of->('instances', $_) // 'none' } qw(storm trap-on-request endless-loop) };
    ok(Server::wait_for(sub { $instances->() eq '4 4 4' }), 'a VM of each plugin in each worker');
    cmp_ok($of->('memory_bytes', 'storm'), '>=', 4 * 65536, 'with memory');
    is(join(' ', map { $of->($_, 'storm') } qw(requests_total traps_total deadline_exceeded_total restarts_total)), '0 0 0 0',
        'at first there is nothing to count');

    my @connections = $server->connections;
    for my $connection (@connections) {
        $connection->get('/', 'x-do' => 'get key') for 1 .. 25;
    }
    is($of->('requests_total', 'storm'), 100, 'requests in all workers');
    my $before = samples($server);
    my $callbacks = $before->{'proxy_wasm_callback_seconds_count{plugin="storm"}'};
    cmp_ok($callbacks, '>=', 200, 'and more callbacks');
    is($before->{'proxy_wasm_callback_seconds_bucket{plugin="storm",le="+Inf"}'}, $callbacks, 'in all buckets');
    cmp_ok($before->{'proxy_wasm_callback_seconds_sum{plugin="storm"}'}, '>', 0, 'which took some time');

    for my $plugin ('trap-on-request', 'endless-loop') {
        for (1 .. 2) {
            my @all = $server->connections;
            $_->send("/$plugin") for @all;
            $_->receive for @all;
        }
        is($of->('requests_total', $plugin), 8, "$plugin: two requests in each of four workers");
        is($of->('traps_total', $plugin), 8, 'trap');
        is($of->('deadline_exceeded_total', $plugin), $plugin eq 'endless-loop' ? 8 : 0, 'for want of time, or not');
        is($of->('restarts_total', $plugin), 4, 'and the first leads to another VM');
    }
    is(join(' ', map { $of->($_, 'storm') } qw(requests_total traps_total restarts_total)), '100 0 0', 'other plugins have nothing to do with it');

    my ($killed) = $server->workers;
    kill 'KILL', $killed;
    ok(Server::wait_for(sub { !Server::alive($killed) && $server->workers == 4 && $of->('instances', 'storm') eq '4' }),
        'when a worker was killed there are as many VMs as before');
    my @old = $server->workers;
    ok($server->reload && Server::wait_for(sub { !grep { Server::alive($_) } @old }), 'and after a reload');
    ok(Server::wait_for(sub { $instances->() eq '4 4 4' }), 'there are as well');
    is($of->('requests_total', 'storm'), 100, 'no count was lost');
    my $samples = samples($server);
    is($samples->{'proxy_wasm_instances{plugin="storm"}'}, 4, 'as it says too');
    is_deeply([grep { !/exited on signal 9|trapped: |\d: +0x|cannot run/ } $server->problems], [], 'nothing else in the log');
}

done_testing();
