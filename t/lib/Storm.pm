# For t/shared/*.t: an nginx with four workers, the guest storm in each.
#
#   my $server = Storm->new(%parts);                    # started; parts as for Server, but http, and
#       size, policy   of the shared memory
#       deadline       of callbacks, 60s
#       queues         what storm registers
#       plugins        Lua: more entries of the table `chains`, by path
#   my $answer = $server->ask('add hits 3');            # what storm did in some worker: see t/plugins/storm
#   my @answers = $server->ask_all('add hits 3');       # in all workers at the same time
#   my ($one, @others) = $server->connections;          # one to each worker, whose pid is $one->{pid}
#   my ($status, $body, $headers) = $one->get('/path', %headers);
#   $server->sample('hits{plugin="storm"}')             # of the metrics, as they stand in the text
#   $server->stat('keys')                               # of wasm.shared:stats()
#   $server->problems                                   # of the log, from level warn on
#
# / asks storm, and any path in `chains` that one.

package Storm;

use strict;
use warnings;

use parent -norequire, 'Server';

use Server;

sub new {
    my ($class, %parts) = @_;
    my $self = $class->SUPER::new(%parts);
    my ($ok, $output) = $self->start;
    die "nginx does not start: $output" unless $ok && Server::wait_for(sub { $self->workers == 4 });
    # each answers, so that it has started its plugins
    $self->connections;
    return $self;
}

sub configure {
    my ($self, %parts) = @_;
    my %own = (size => '16m', policy => 'lru', deadline => '60s', queues => '', plugins => '', init => '', %parts);
    delete @parts{qw(size policy deadline queues plugins)};
    return $self->SUPER::configure(
        workers => 4,
        # so that connections come to all workers
        listen => 'reuseport',
        init_worker => 'assert(wasm.init_worker())',
        %parts,
        http => <<"_EOC_",
wasm_shm_size $own{size};
wasm_shm_policy $own{policy};
wasm_deadline $own{deadline};
wasm_log_limit 1000000;
keepalive_requests 1000000;
large_client_header_buffers 4 32k;
_EOC_
        init => <<"_EOC_",
chains = { ["/"] = assert(wasm.chain{ { path = guests .. "storm.wasm", conf = "$own{queues}" } }) }
$own{plugins}
$own{init}
_EOC_
        location => <<'_EOC_' . ($parts{location} // ''),
location / {
    access_by_lua_block { chains[ngx.var.uri]:access() }
    header_filter_by_lua_block {
        ngx.header["x-pid"] = ngx.worker.pid()
        chains[ngx.var.uri]:header_filter()
    }
    content_by_lua_block { ngx.print("hello") }
}
location /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
location /metrics { content_by_lua_block { ngx.print(wasm.metrics()) } }
location /stat { content_by_lua_block { ngx.print(tostring(wasm.shared:stats()[ngx.var.args])) } }
_EOC_
    );
}

sub ask {
    my ($self, $do, %headers) = @_;
    my ($status, $body) = Storm::Connection->new->get('/', 'x-do' => $do, %headers);
    return $body;
}

sub connections {
    my $self = shift;
    my %by_pid;
    Server::wait_for(sub {
        for (1 .. 8) {
            my $connection = Storm::Connection->new;
            my ($status, $pid) = $connection->get('/pid');
            next unless $status == 200;
            $connection->{pid} = $pid;
            $by_pid{$pid} = $connection;
        }
        !grep { !$by_pid{$_} } $self->workers;
    }, 10) or die 'a worker cannot be reached';
    return map { $by_pid{$_} } $self->workers;
}

sub ask_all {
    my ($self, $do, %headers) = @_;
    my @connections = $self->connections;
    $_->send('/', 'x-do' => $do, %headers) for @connections;
    return map { ($_->receive)[1] } @connections;
}

sub sample {
    my ($self, $name) = @_;
    my ($status, $text) = $self->get('/metrics');
    return $text =~ /^\Q$name\E (\S+)$/m ? $1 : undef;
}

sub stat {
    my ($self, $name) = @_;
    return ($self->get("/stat?$name"))[1];
}

sub problems { shift->log(qr/\[(?:warn|error|crit|alert|emerg)\]|panicked/) }

# A connection that is kept, and so stays with one worker.
package Storm::Connection;

use IO::Socket::INET;
use Socket qw(SO_RCVTIMEO);

sub new {
    my $class = shift;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$Server::port", Timeout => 5);
    # longer than anything here takes
    $socket->sockopt(SO_RCVTIMEO, pack 'l!l!', 60, 0) if $socket;
    return bless { socket => $socket }, $class;
}

sub send {
    my ($self, $path, %headers) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $socket = $self->{socket} or return;
    print $socket "GET $path HTTP/1.1\r\nHost: localhost\r\n", (map { "$_: $headers{$_}\r\n" } keys %headers), "\r\n";
    $socket->flush;
}

# Status 0 where no whole answer comes.
sub receive {
    my $self = shift;
    my $socket = $self->{socket} or return (0, '', {});
    local $/ = "\r\n";
    my ($status, %headers);
    while (1) {
        my $line = <$socket> // return (0, '', {});
        chomp $line;
        last if $line eq '';
        $status = $1 if $line =~ m{^HTTP/1\.1 (\d+)};
        $headers{lc $1} = $2 if $line =~ /^([^:]+): (.*)$/;
    }
    my $body = '';
    if (defined(my $length = $headers{'content-length'})) {
        return (0, '', {}) unless read($socket, $body, $length) == $length;
    } elsif (($headers{'transfer-encoding'} // '') eq 'chunked') {
        while (1) {
            my $line = <$socket> // return (0, '', {});
            my ($size) = map { hex } $line =~ /^(\w+)/ or return (0, '', {});
            read($socket, my $chunk, $size + 2) == $size + 2 or return (0, '', {});
            last if $size == 0;
            $body .= substr $chunk, 0, $size;
        }
    }
    return ($status, $body, \%headers);
}

sub get {
    my ($self, @request) = @_;
    $self->send(@request);
    return $self->receive;
}

1;
