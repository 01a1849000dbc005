# Servers for plugins to call, beside nginx itself: those of t/lib/upstream.py, for as long as the test file runs. Each has a free port,
# so that suites may run side by side.
#
#   use ProxyWasm::Upstream qw(raw grpc tls);
#
#   raw     $TEST_NGINX_RAW_PORT speaks HTTP/1.1 and misbehaves as the path says, $TEST_NGINX_REFUSED_PORT refuses connections,
#           $TEST_NGINX_SILENT_PORT accepts them and no more, $TEST_NGINX_FULL_PORT does not answer
#   grpc    $TEST_NGINX_GRPC_PORT has the gRPC service /test.Echo
#   tls     certificates and keys in $TEST_NGINX_CERTS, and with grpc the same service over TLS on $TEST_NGINX_GRPCS_PORT. ca.pem is who
#           signed good.pem and expired.pem; unknown.pem is by somebody else. They are for localhost, good.test, 127.0.0.1 to 127.0.0.9,
#           and have one key, key.pem.
#
# nginx can listen on other addresses than 127.0.0.1 at its own port: `listen 127.0.0.2:$TEST_NGINX_SERVER_PORT ssl;`.
#
# What the variables stand for is put into the sections of Test::Nginx for configuration, into `script` and `lua`, and into `response_body`,
# `grep_error_log_out`, `problems`, `wasm_log` and `log`.
#
# Lua sees of t/lib/client.lua
#
#   logged(pattern[, n])   waits until n lines of the error log (1) match, and says whether they do
#   wait_for(condition)    waits until condition() holds, and says whether it does
#   raw(path)              the body that the server `raw` has there
#
# To be used after ProxyWasm and before its other parts.

package ProxyWasm::Upstream;

use strict;
use warnings;

use File::Temp qw(tempdir);
use IPC::Open2;
use Test::Nginx::Util;

my @texts = qw(response_body problems wasm_log log grep_error_log_out);
my ($pid, $stdin);

sub import {
    my ($class, @wanted) = @_;
    my %wanted = map { $_ => 1 } @wanted;
    my @servers = grep { $wanted{$_} } qw(raw grpc);

    if ($wanted{tls}) {
        $ENV{TEST_NGINX_CERTS} = certificates();
        push @servers, "grpcs=$ENV{TEST_NGINX_CERTS}" if $wanted{grpc};
    }
    $ENV{TEST_NGINX_HTML_DIR} ||= $Test::Nginx::Util::HtmlDir;
    $ENV{TEST_NGINX_SERVER_PORT} ||= Test::Nginx::Util::server_port();
    start(@servers) if @servers;
}

sub start {
    # Debian's, which has the package for gRPC
    my $python = $ENV{PYTHON} // '/usr/bin/python3';
    # may be for an engine that comes from another release
    delete local $ENV{LD_LIBRARY_PATH};
    # it complains about clients that do not trust it
    local $ENV{GRPC_VERBOSITY} = 'NONE';
    $pid = open2(my $stdout, $stdin, $python, "$ProxyWasm::root/t/lib/upstream.py", @_);
    my $ports = <$stdout> // die "t/lib/upstream.py does not start: run ci/deps.sh test\n";
    $ENV{'TEST_NGINX_' . uc $1 . '_PORT'} = $2 while $ports =~ /(\w+)=(\d+)/g;
}

sub certificates {
    my $dir = tempdir(CLEANUP => 1);
    my $subject = sub { "-subj '/CN=$_[0]'" };
    my $key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout";
    delete local $ENV{LD_LIBRARY_PATH};

    open my $config, '>', "$dir/ca.conf" or die $!;
    print $config <<"_EOC_", map { "IP.$_ = 127.0.0.$_\n" } 1 .. 9;
[ca]
default_ca = own
[own]
new_certs_dir = $dir
database = $dir/index
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
x509_extensions = leaf
[any]
commonName = supplied
[req]
distinguished_name = any_name
x509_extensions = authority
[any_name]
[authority]
basicConstraints = critical, CA:TRUE
[leaf]
basicConstraints = CA:FALSE
subjectAltName = \@names
[names]
DNS.1 = localhost
DNS.2 = good.test
_EOC_
    close $config;
    open my $index, '>', "$dir/index" or die $!;

    my @commands = (
        (map { "req -x509 -config $dir/ca.conf $key $dir/$_.key -out $dir/$_.pem -days 2 -subj '/CN=$_'" } qw(ca other)),
        "req -config $dir/ca.conf $key $dir/key.pem -out $dir/request -subj /CN=leaf",
        map {
            my ($name, $ca, $end) = @$_;
            "ca -batch -notext -config $dir/ca.conf -cert $dir/$ca.pem -keyfile $dir/$ca.key -in $dir/request -out $dir/$name.pem "
                . "-startdate 20200101000000Z -enddate ${end}0101000000Z"
        } ['good', 'ca', 2049], ['expired', 'ca', 2021], ['unknown', 'other', 2049],
    );
    for my $command (@commands) {
        my $output = `openssl $command 2>&1`;
        die "openssl $command: $output" if $?;
    }
    return $dir;
}

Test::Nginx::Util::add_block_preprocessor(sub {
    my $block = shift;

    for my $section (@texts) {
        my $text = $block->$section;
        next if !defined $text || ref $text;
        $text =~ s/\$(TEST_NGINX_\w+)/$ENV{$1} \/\/ die "$1 is not set\n"/ge;
        $block->set_value($section => $text);
    }

    # longer than anything here waits for something
    $block->set_value(timeout => 10) unless defined $block->timeout;
    my $port = $ENV{TEST_NGINX_RAW_PORT} // 0;
    $block->set_value(init_by_lua => <<"_EOC_" . ($block->init_by_lua // ''));
package.path = "$ProxyWasm::root/t/lib/?.lua;" .. package.path
logged, wait_for = require("client").logged, require("client").wait_for

function raw(path)
    return require("client").body($port, path)
end
_EOC_
});

END {
    # the servers end with their standard input
    local $?;
    close $stdin if $stdin;
    waitpid $pid, 0 if $pid;
}

1;
