# For tests that start nginx themselves: several workers, signals, configurations that it refuses.
#
#   my $server = Server->new(http => '...', location => '...');   # a configuration, written but not started
#   my ($ok, $output) = $server->check;                           # nginx -t
#   my ($ok, $output) = $server->start;
#   my ($status, $body, $headers) = $server->get('/t');           # status 0 where there is no answer
#   $server->configure(...); $server->signal('HUP');
#   my @lines = $server->log(qr/.../);
#   $server->begin(3, sub { my ($client, $n) = @_; ... });   # that many processes do it over and over, $n = 1, 2, …
#   my @lines = $server->finish;                             # until now, and this is what each time came of it
#   my $usage = Server::usage($pid);                         # of a process: threads (their names), descriptors, memory (its own, in KB)
#
# Parts of a configuration: vm (the engine, that of this run if nothing is said, '' for none), main, http, init (Lua after
# require), init_worker, location (more of the server), port, listen (parameters of the socket), workers, master, daemon, user (of the
# workers, where the test runs as root), load_module (0 for none), require (0 for none), level.
#
# It stops, and leaves nothing, when the object goes.

package Server;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use Socket qw(SO_RCVTIMEO);
use Time::HiRes qw(sleep time);

our $root = abs_path(dirname(__FILE__) . '/../..');
our $library = ($ENV{PROXY_WASM_LIB_DIR} // "$root/target/release");
our $file = "$library/libresty_proxy_wasm.so";
our $vm = $ENV{WASM_VM} // 'wasmtime';
our $port = $ENV{TEST_NGINX_PORT} // 1984;

my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';
# As for Test::Nginx: where all is slow, it is waited for longer.
my $patience = $ENV{TEST_NGINX_TIMEOUT} // 0;
my $count = 0;

sub new {
    my ($class, %parts) = @_;
    my $prefix = ($ENV{TEST_NGINX_SERVROOT} // "$root/build/servroot") . "-$$-" . $count++;
    make_path("$prefix/logs");
    my $self = bless { prefix => $prefix }, $class;
    $self->configure(%parts);
    return $self;
}

sub configure {
    my ($self, %parts) = @_;
    my %conf = (
        main => '', http => '', init => '', init_worker => '', location => '', port => $port, listen => '', workers => 1,
        master => 'on', daemon => 'on',
        load_module => 1, require => 1, vm => $vm, level => 'info', user => 'root', cpath => "$library/?.so", %parts,
    );
    $self->{$_} = $conf{$_} for 'port', 'master', 'daemon';
    my @modules = grep { $_ ne $file } split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // '';
    push @modules, $file if $conf{load_module};
    my $modules = join '', map { "load_module $_;\n" } @modules;
    my $user = $> == 0 ? "user $conf{user};\n" : '';
    my $require = $conf{require} ? 'wasm = require("resty.proxy-wasm")' : '';
    my $directive = '';
    if ($conf{vm} && $conf{load_module}) {
        $directive = "wasm_vm $conf{vm};";
        $directive .= "\nwasmedge_aot $ENV{WASMEDGE_AOT};" if $ENV{WASMEDGE_AOT} && $conf{http} !~ /wasmedge_aot/;
    } elsif ($conf{vm} && $conf{require}) {
        $require .= "\nassert(wasm.setup{ vm = \"$conf{vm}\" })";
    }
    my ($path, $cpath) = ($ENV{LUA_PATH_PREFIX} // '', $ENV{LUA_CPATH_PREFIX} // '');

    open my $handle, '>', "$self->{prefix}/nginx.conf" or die $!;
    print $handle <<"_EOC_";
$modules${user}worker_processes $conf{workers};
master_process $conf{master};
daemon $conf{daemon};
pid logs/nginx.pid;
error_log logs/error.log $conf{level};
$conf{main}
events { worker_connections 256; }
http {
access_log off;
client_body_temp_path logs/body;
proxy_temp_path logs/proxy;
fastcgi_temp_path logs/fastcgi;
uwsgi_temp_path logs/uwsgi;
scgi_temp_path logs/scgi;
lua_package_path "$path$root/lib/?.lua;;";
lua_package_cpath "$cpath$conf{cpath};;";
$directive
$conf{http}
init_by_lua_block {
guests = "$root/build/guests/"
wat = "$root/t/plugins/wat/"
$require
$conf{init}
}
init_worker_by_lua_block {
$conf{init_worker}
}
server {
listen 127.0.0.1:$conf{port} $conf{listen};
$conf{location}
}
}
_EOC_
    close $handle;
    return $self;
}

sub run {
    my ($self, @args) = @_;
    my $output = `@{[ $self->command ]} @args 2>&1`;
    return ($? == 0, $output);
}

sub command {
    my $self = shift;
    return "$nginx -p $self->{prefix}/ -c nginx.conf -e logs/error.log";
}

sub check { shift->run('-t') }

sub start {
    my $self = shift;
    my @result = $self->{daemon} eq 'on' ? $self->run : $self->run_beside;
    wait_for(sub { $self->pid && ($self->{master} eq 'off' || $self->workers) }) if $result[0];
    return @result;
}

# As a child of the test's, which does not wait for it.
sub run_beside {
    my $self = shift;
    my $pid = fork // die $!;
    if (!$pid) {
        open STDOUT, '>', "$self->{prefix}/output";
        open STDERR, '>&', \*STDOUT;
        exec 'exec ' . $self->command;
    }
    return (1, '') if wait_for(sub { $self->pid || waitpid($pid, WNOHANG) }, 30) && $self->pid;
    open my $output, '<', "$self->{prefix}/output" or return (0, '');
    local $/;
    return (0, scalar <$output>);
}

# The master's; with `old`, that of the one that has been told to upgrade (USR2).
sub pid {
    my ($self, $old) = @_;
    open my $handle, '<', "$self->{prefix}/logs/nginx.pid" . ($old ? '.oldbin' : '') or return;
    my $pid = <$handle>;
    return defined $pid && $pid =~ /(\d+)/ ? $1 : undef;
}

# The master's children that are not shutting down.
sub workers {
    my $self = shift;
    my $master = $self->pid or return;
    my @workers;
    for my $path (glob '/proc/[0-9]*/stat') {
        open my $handle, '<', $path or next;
        my $stat = <$handle> // next;
        my ($pid, $parent) = $stat =~ /^(\d+) \(.*\) \S (\d+)/ or next;
        next unless $parent == $master;
        open my $line, '<', "/proc/$pid/cmdline" or next;
        my $title = <$line> // next;
        push @workers, $pid unless $title =~ /is shutting down/;
    }
    @workers = sort { $a <=> $b } @workers;
    return @workers;
}

sub signal {
    my ($self, $signal) = @_;
    kill $signal, $self->pid // return;
    return $self;
}

# Reloads and waits until other workers have taken over.
sub reload {
    my ($self, $seconds) = @_;
    my %old = map { $_ => 1 } $self->workers;
    $self->signal('HUP');
    return wait_for(sub {
        my @now = $self->workers;
        @now && !grep { $old{$_} } @now;
    }, $seconds);
}

sub wait_for {
    my ($condition, $seconds) = @_;
    $seconds //= 5;
    $seconds = $patience if $seconds < $patience;
    my $end = time + $seconds;
    while (time < $end) {
        return 1 if $condition->();
        sleep 0.02;
    }
    return 0;
}

# One request on a connection of its own.
sub get {
    my ($self, $path, %headers) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}", Timeout => 5) or return (0, "cannot connect: $!", {});
    $socket->sockopt(SO_RCVTIMEO, pack 'l!l!', $patience > 5 ? 2 * $patience : 10, 0);
    print $socket "GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
        (map { "$_: $headers{$_}\r\n" } keys %headers), "\r\n";
    local $/;
    my $answer = <$socket> // '';
    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};
    my %got = map { /^([^:]+): (.*)$/ ? (lc $1, $2) : () } split /\r\n/, $head // '';
    if (($got{'transfer-encoding'} // '') eq 'chunked') {
        my $plain = '';
        while ($body =~ s/^([0-9a-f]+)\r\n//i && hex $1) {
            $plain .= substr $body, 0, hex($1) + 2, '';
            substr($plain, -2) = '';
        }
        $body = $plain;
    }
    return ($status // 0, $body // '', \%got);
}

# What Lua answers at /lua, a location that runs what comes in the header x-lua.
sub lua {
    my ($self, $code) = @_;
    $code =~ s/\s*\n\s*/ /g;
    return ($self->get('/lua', 'x-lua' => $code))[1];
}

# The lines of the error log that match.
sub log {
    my ($self, $pattern) = @_;
    open my $handle, '<', "$self->{prefix}/logs/error.log" or return;
    return grep { $_ =~ $pattern } <$handle>;
}

sub begin {
    my ($self, $clients, $work) = @_;
    my $test = $$;
    $self->{clients} = {
        map {
            my $client = $_;
            my $pid = fork // die $!;
            if (!$pid) {
                open my $out, '>', "$self->{prefix}/client-$client" or die $!;
                for (my $n = 1; getppid == $test && !-e "$self->{prefix}/finish"; $n++) {
                    print $out $work->($client, $n), "\n";
                }
                close $out;
                POSIX::_exit(0);
            }
            $client => $pid;
        } 1 .. $clients
    };
}

sub finish {
    my $self = shift;
    open my $flag, '>', "$self->{prefix}/finish" or die $!;
    my @lines;
    for my $client (sort keys %{ $self->{clients} }) {
        waitpid $self->{clients}{$client}, 0;
        open my $in, '<', "$self->{prefix}/client-$client" or die $!;
        chomp(my @all = <$in>);
        push @lines, @all;
    }
    unlink "$self->{prefix}/finish";
    return @lines;
}

sub usage {
    my $pid = shift;
    my $read = sub {
        open my $handle, '<', $_[0] or return '';
        local $/;
        return scalar <$handle> // '';
    };
    my ($memory) = $read->("/proc/$pid/smaps_rollup") =~ /^Anonymous:\s+(\d+)/m;
    chomp(my @threads = sort map { $read->($_) } glob "/proc/$pid/task/*/comm");
    return {
        threads => \@threads,
        descriptors => scalar(() = glob "/proc/$pid/fd/*"),
        memory => $memory // 0,
    };
}

# Resident memory in MB.
sub rss {
    my ($self, $pid) = @_;
    open my $handle, '<', "/proc/$pid/status" or return 0;
    local $/;
    return <$handle> =~ /^VmRSS:\s+(\d+)/m ? $1 / 1024 : 0;
}

sub stop {
    my ($self, $signal) = @_;
    my $pid = $self->pid or return 1;
    kill $signal // 'TERM', $pid;
    return 1 if wait_for(sub { !alive($pid) });
    kill 'KILL', $pid;
    return 0;
}

# Zombies wait for whoever adopted them and are gone for us.
sub alive {
    my $pid = shift;
    open my $handle, '<', "/proc/$pid/stat" or return 0;
    return (<$handle> // '') =~ /^\d+ \(.*\) (?!Z)/;
}

sub DESTROY {
    my $self = shift;
    local ($?, $@);
    my $old = $self->pid('old');
    kill 'TERM', $old if $old;
    $self->stop;
    remove_tree($self->{prefix}) unless $ENV{TEST_NGINX_KEEP};
}

1;
