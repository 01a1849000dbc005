# For t/reliability: an nginx with one worker, and both its ends byte by byte: the client, and the origin behind it.
#
#   my $wire = Wire->new(%parts);              # started; parts as for Server
#   $wire->chain('{ path = … }, …');           # the plugins from now on
#   $wire->script($text, ...);                 # the same: the guest script, once for each text
#   my ($text, @asked) = $wire->exchange($bytes, %options);
#       what comes back until nginx closes the connection, and the requests that came to the origin meanwhile. Options:
#       answer   a function that gives the origin's answer to a request, and true if the connection stays open; by default a "hello"
#       port     another than nginx's first
#       shut     the client says that it sends no more once it has sent all
#       leave    a pattern: the client goes away once what came back matches, '' for as soon as it has sent all
#       asked    a pattern: the client goes away once a request to the origin matches, and gets no answer
#       reset    it goes away with a RST in place of a FIN
#       slowly   so many bytes at a time, both ways
#   my @responses = Wire::responses($text, @methods);
#       as a client reads them: hashes with status, head, headers (pairs), body; with `cut` where it ends too early. What is none is
#       a hash with `rest`.
#   Wire::quote($bytes)                        # as a word for the guest script
#   Wire::leave($socket, $reset)               # closes it, with a RST if wanted
#   my $value = $wire->lua('return …');        # in the worker
#   $wire->settled                             # waits until no request has a context any more
#   $wire->news                                # the log's lines since the last call
#   $wire->problems                            # of the log, from level warn on
#
# In `http` and `location` PORT is the origin's. Below /origin the origin is asked through the chain, and below /bare without plugins; /own
# answers in Lua.

package Wire;

use strict;
use warnings;

use parent -norequire, 'Server';

use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);
use Server;

our $phases = <<'_EOC_';
access_by_lua_block { chain:access() }
header_filter_by_lua_block { chain:header_filter() }
body_filter_by_lua_block { return chain:body_filter() }
_EOC_

my $hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

sub new {
    my ($class, %parts) = @_;
    my $origin = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1') or die $!;
    my $self = $class->SUPER::new(%parts, origin => $origin->sockport);
    $self->{origin} = $origin;
    my ($ok, $output) = $self->start;
    die "nginx does not start: $output" unless $ok;
    return $self;
}

sub configure {
    my ($self, %parts) = @_;
    my $port = delete $parts{origin};
    my $origin = "proxy_pass http://127.0.0.1:$port; proxy_http_version 1.1; proxy_set_header Connection '';";
    s/\bPORT\b/$port/g for values %parts;
    return $self->SUPER::configure(
        %parts,
        http => "wasm_log_limit 1000000;\nwasm_deadline 60s;\n" . ($parts{http} // ''),
        init => <<"_EOC_" . ($parts{init} // ''),
function set_chain(list)
    chain = assert(wasm.chain(list))
    collectgarbage()
end

set_chain{ { path = guests .. "script.wasm", conf = "#" } }
_EOC_
        location => <<"_EOC_" . ($parts{location} // ''),
large_client_header_buffers 4 32k;
client_max_body_size 4m;
client_body_buffer_size 4m;
keepalive_requests 100000;
lingering_timeout 20ms;
lua_check_client_abort on;
location /origin { $phases $origin }
location /bare { $origin }
location /own { $phases content_by_lua_block { ngx.print("own") } }
location /lua {
    client_max_body_size 100m;
    client_body_buffer_size 100m;
    content_by_lua_block {
        ngx.req.read_body()
        local value = assert(loadstring(ngx.req.get_body_data()))()
        ngx.print(tostring(value))
    }
}
_EOC_
    );
}

sub lua {
    my ($self, $code) = @_;
    my ($text) = $self->exchange("POST /lua HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " . length($code) . "\r\n\r\n$code");
    my ($response) = responses($text);
    die "lua: $text", $self->problems if ($response->{status} // 0) != 200;
    return $response->{body};
}

sub chain {
    my ($self, $list) = @_;
    $self->lua("set_chain{ $list }");
    return;
}

# A text as the guest script takes it, in quotes.
sub quote {
    my $text = shift;
    $text =~ s/([^ !#-\[\]-~])/sprintf '\x%02x', ord $1/ge;
    return "\"$text\"";
}

sub script {
    my ($self, @texts) = @_;
    return $self->chain(join ' ', map { "{ path = guests .. 'script.wasm', conf = [===[\n$_]===] }," } @texts);
}

sub settled {
    my $self = shift;
    return Server::wait_for(sub { $self->lua('return tonumber(require("resty.proxy-wasm.cdefs").lib.proxy_wasm_worker_requests())') eq '0' });
}

sub news {
    my $self = shift;
    open my $handle, '<', "$self->{prefix}/logs/error.log" or return;
    seek $handle, $self->{read} // 0, 0;
    my @lines = <$handle>;
    $self->{read} = tell $handle;
    return @lines;
}

sub problems { shift->log(qr/\[(?:warn|error|crit|alert|emerg)\]/) }

# Whether a request is there with its body.
sub whole {
    my ($head, $body) = shift =~ /\A(.*?\r\n)\r\n(.*)\z/s or return 0;
    return $body =~ /(?:\A|\r\n)0\r\n(?:[^\r]+\r\n)*\r\n\z/ if $head =~ /^transfer-encoding: *chunked\r$/im;
    return length $body >= ($head =~ /^content-length: *(\d+)\r$/im ? $1 : 0);
}

sub client {
    my $port = shift;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port // $Server::port, Timeout => 5) or die "no connection: $!";
    $socket->blocking(0);
    return $socket;
}

sub leave {
    my ($socket, $reset) = @_;
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $reset;
    close $socket;
    return;
}

sub exchange {
    my ($self, $bytes, %options) = @_;
    my $answer = $options{answer} // sub { ($hello, 1) };
    my $size = $options{slowly} // 1 << 16;
    my $client = client($options{port});
    my %ends = (fileno $client => { socket => $client, out => $bytes, in => '' });
    my $end = $ends{fileno $client};
    my @asked;
    my $until = time + 20;

    my $drop = sub {
        my $end = shift;
        delete $ends{fileno $end->{socket}};
        close $end->{socket};
    };
    CLIENT: while (time < $until) {
        my $readers = IO::Select->new($self->{origin}, map { $_->{socket} } values %ends);
        my $writers = IO::Select->new(map { $_->{socket} } grep { length $_->{out} } values %ends);
        my ($readable, $writable) = IO::Select->select($readers, $writers, undef, 1) or next;
        sleep 0.001 if $options{slowly};
        for my $socket (@$writable) {
            my $this = $ends{fileno $socket};
            my $n = syswrite $socket, $this->{out}, $size;
            # what the other side no longer wants
            $n //= $!{EAGAIN} ? 0 : length $this->{out};
            substr $this->{out}, 0, $n, '';
            next if length $this->{out};
            if ($this == $end) {
                shutdown $socket, 1 if $options{shut};
                last CLIENT if defined $options{leave} && $options{leave} eq '';
            } elsif ($this->{last}) {
                $drop->($this);
            }
        }
        for my $socket (@$readable) {
            if ($socket == $self->{origin}) {
                my $new = $socket->accept or next;
                $new->blocking(0);
                $ends{fileno $new} = { socket => $new, out => '', in => '' };
                next;
            }
            my $this = defined fileno $socket && $ends{fileno $socket} or next;
            my $n = sysread $socket, $this->{in}, $size, length $this->{in};
            next if !defined $n && $!{EAGAIN};
            if ($this == $end) {
                last CLIENT if !$n || $options{leave} && $this->{in} =~ $options{leave};
            } elsif (!$n) {
                push @asked, $this->{in} if length $this->{in};
                $drop->($this);
            } elsif (whole($this->{in})) {
                push @asked, $this->{in};
                last CLIENT if $options{asked} && $this->{in} =~ $options{asked};
                my ($text, $open) = $answer->($this->{in});
                ($this->{in}, $this->{last}) = ('', !$open);
                $this->{out} .= $text;
                $drop->($this) unless length $this->{out} || $open;
            }
        }
    }
    leave($client, $options{reset});
    push @asked, map { length $_->{in} && $_ != $end ? $_->{in} : () } values %ends;
    return (time < $until ? $end->{in} : "no end: $end->{in}", @asked);
}

sub responses {
    my ($text, @methods) = @_;
    my @responses;
    while (length $text) {
        my $method = shift @methods // 'GET';
        my $token = qr/[!#\$%&'*+.^_`|~0-9A-Za-z-]+/;
        if ($text !~ s{\A(HTTP/1\.1 ([1-9]\d\d)(?: [^\0\r\n]*)?\r\n(?:$token:[^\0\r\n]*\r\n)*)\r\n}{}) {
            push @responses, { rest => $text };
            last;
        }
        my ($head, $status) = ($1, $2);
        my @headers = map { /^([^:]+): *(.*?) *\r$/ ? [lc $1, $2] : () } split /\n/, $head;
        my %response = (status => $status, head => $head, headers => \@headers, body => '');
        push @responses, \%response;
        my @lengths = map { $_->[0] eq 'content-length' ? $_->[1] : () } @headers;
        my @codings = map { $_->[0] eq 'transfer-encoding' ? $_->[1] : () } @headers;
        if ($status < 200 || $status == 204 || $status == 304 || $method eq 'HEAD') {
            # the same request is still to be answered
            unshift @methods, $method if $status < 200 && $status != 101;
        } elsif (@codings && !@lengths && "@codings" eq 'chunked') {
            my $last;
            while (!$last && $text =~ s/\A([0-9a-f]+)\r\n//i) {
                my $size = hex $1;
                $last = $size == 0;
                $response{body} .= substr $text, 0, $size, '';
                $text =~ s/\A\r\n// or last;
            }
            $response{cut} = 1 unless $last;
        } elsif (@lengths == 1 && !@codings && $lengths[0] =~ /^\d+$/) {
            $response{body} = substr $text, 0, $lengths[0], '';
            $response{cut} = 1 if length $response{body} < $lengths[0];
        } elsif (@lengths || @codings) {
            $response{rest} = 'framed twice, or badly';
        } else {
            ($response{body}, $text) = ($text, '');
            $response{until_end} = 1;
        }
    }
    return @responses;
}

1;
