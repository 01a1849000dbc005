# For tests that start nginx themselves: several workers, signals, configurations that it refuses.
#
#   my $server = Server->new(http => '...', location => '...');   # a configuration, written but not started
#   my ($ok, $output) = $server->check;                           # nginx -t
#   my ($ok, $output) = $server->start;
#   my ($status, $body, $headers) = $server->get('/t');           # status 0 where there is no answer
#   $server->configure(...); $server->signal('HUP');
#   my @lines = $server->log(qr/.../);
#
# Parts of a configuration: vm (the engine, that of this run if nothing is said, '' for none), main, http, init (Lua after
# require), init_worker, location (more of the server), listen (parameters of the socket), workers, master, user (of the workers, where
# the test runs as root), load_module (0 for none), require (0 for none), level.
#
# It stops, and leaves nothing, when the object goes.

package Server;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use Socket qw(SO_RCVTIMEO);
use Time::HiRes qw(sleep time);

our $root = abs_path(dirname(__FILE__) . '/../..');
our $library = ($ENV{PROXY_WASM_LIB_DIR} // "$root/target/release");
our $file = "$library/libresty_proxy_wasm.so";
our $vm = $ENV{WASM_VM} // 'wasmtime';
our $port = $ENV{TEST_NGINX_PORT} // 1984;

my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';
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
        main => '', http => '', init => '', init_worker => '', location => '', listen => '', workers => 1, master => 'on',
        load_module => 1, require => 1, vm => $vm, level => 'info', user => 'root', cpath => "$library/?.so", %parts,
    );
    $self->{master} = $conf{master};
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
daemon on;
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
listen 127.0.0.1:$port $conf{listen};
$conf{location}
}
}
_EOC_
    close $handle;
    return $self;
}

sub run {
    my ($self, @args) = @_;
    my $output = `$nginx -p $self->{prefix}/ -c nginx.conf -e logs/error.log @args 2>&1`;
    return ($? == 0, $output);
}

sub check { shift->run('-t') }

sub start {
    my $self = shift;
    my @result = $self->run;
    wait_for(sub { $self->pid && ($self->{master} eq 'off' || $self->workers) }) if $result[0];
    return @result;
}

sub pid {
    my $self = shift;
    open my $handle, '<', "$self->{prefix}/logs/nginx.pid" or return;
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
    my $self = shift;
    my %old = map { $_ => 1 } $self->workers;
    $self->signal('HUP');
    return wait_for(sub {
        my @now = $self->workers;
        @now && !grep { $old{$_} } @now;
    });
}

sub wait_for {
    my ($condition, $seconds) = @_;
    my $end = time + ($seconds // 5);
    while (time < $end) {
        return 1 if $condition->();
        sleep 0.02;
    }
    return 0;
}

# One request on a connection of its own.
sub get {
    my ($self, $path, %headers) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 5) or return (0, "cannot connect: $!", {});
    $socket->sockopt(SO_RCVTIMEO, pack 'l!l!', 10, 0);
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

# The lines of the error log that match.
sub log {
    my ($self, $pattern) = @_;
    open my $handle, '<', "$self->{prefix}/logs/error.log" or return;
    return grep { $_ =~ $pattern } <$handle>;
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
    $self->stop;
    remove_tree($self->{prefix}) unless $ENV{TEST_NGINX_KEEP};
}

1;
