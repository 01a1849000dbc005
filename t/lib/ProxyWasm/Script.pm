# For tests of single hostcalls: the guest `script` (t/plugins/script/README.md) in front of location /t, so that a
# block shows what the guest does, what it logs, and what nginx makes of it.
#
# Sections of a block:
#
#   --- script       the guest's plugin configuration
#   --- guest        which module runs it, by default script.wasm; one of t/plugins/wat too
#   --- options      its further options in the chain, in Lua: vm_config = "…",
#   --- second       Lua for a second plugin of the chain: { path = …, conf = … }
#   --- access       Lua for the access phase in place of `chain:access()`; `ctx` is the guest's plugin context
#   --- location     more of location /t; without a handler in it a Lua one says "hello"
#   --- upstream     Lua that answers in place of that: /t is passed on to it as it is, with the client's Host
#   --- log          all that the plugins log, line by line, in order; those of another plugin than the first as `NAME: …`
#   --- log_of       a pattern: of that, only the lines that it matches
#
# To be used after ProxyWasm.

package ProxyWasm::Script;

use strict;
use warnings;

use Exporter 'import';
use Test::Nginx::Util;

our @EXPORT = qw(le64);

$ENV{TEST_NGINX_HTML_DIR} ||= $Test::Nginx::Util::HtmlDir;
$ENV{TEST_NGINX_SERVER_PORT} ||= Test::Nginx::Util::server_port();

# A number as the guest logs 8 bytes, little-endian.
sub le64 ($) {
    my $bytes = pack 'Q<', shift;
    $bytes =~ s/(["\\])|([^ -~])/defined $1 ? "\\$1" : sprintf '\x%02x', ord $2/ge;
    return $bytes;
}

Test::Nginx::Util::add_block_preprocessor(sub {
    my $block = shift;
    return unless defined $block->script;

    my $guest = $block->guest // 'script.wasm';
    chomp $guest;
    my ($name) = $guest =~ /^(.*)\./;
    my $folder = $guest =~ /\.wat$/ ? 'wat' : 'guests';
    my $script = $block->script;
    chomp $script;
    my $options = $block->options // '';
    my $second = $block->second // '';
    my $http = $block->http // '';
    my $access = $block->access // 'chain:access()';
    my $upstream = $block->upstream;
    my $handler = '';

    if (defined $upstream) {
        $http .= <<"_EOC_";
upstream upstream_name {
    server unix:\$TEST_NGINX_HTML_DIR/up.sock;
}
server {
    listen unix:\$TEST_NGINX_HTML_DIR/up.sock;
    location / {
        content_by_lua_block {
            $upstream
        }
    }
}
_EOC_
        $handler = 'proxy_set_header Host $http_host; proxy_pass http://upstream_name;';
    } elsif (($block->location // '') !~ /content_by|proxy_pass|return |root |fastcgi_pass/) {
        $handler = 'content_by_lua_block { ngx.print("hello\n") }';
    }

    $block->set_value(http => <<"_EOC_");
$http
init_worker_by_lua_block {
    chain = assert(wasm.chain{
        { path = $folder .. "$guest", $options conf = [==[
$script]==] },
        $second
    })
    ctx = chain[1].context
}
_EOC_

    if (defined $block->log) {
        my $of = $block->log_of // '';
        chomp $of;
        $block->set_value(grep_error_log =>
            qr/proxy-wasm (?:$name: )?\K(?=.*(?:$of)).*?(?=(?: while [^,]*)?, client: |$)/);
        $block->set_value(grep_error_log_out => $block->log);
    }

    my $location = $block->location // '';
    my $access_by = $location =~ /access_by/ ? '' : "access_by_lua_block { $access }";
    my $header_filter = $location =~ /header_filter_by/ ? '' :
        'header_filter_by_lua_block { chain:header_filter() }';
    $block->set_value(config => ($block->config // '') . <<"_EOC_");
location /t {
    $access_by
    $header_filter
    body_filter_by_lua_block { return chain:body_filter() }
    $location
    $handler
}
_EOC_
});

1;
