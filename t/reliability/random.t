# Random numbers are the system's: no two are the same, in whatever VM, process or life of a plugin.

use strict;
use warnings;

use Test::More;
use Server;

my $server = Server->new(
    workers => 3,
    listen => 'reuseport',
    init => <<'_EOC_',
contexts = {}
for _, name in ipairs({ "one", "two" }) do
    -- the same file, with the same configuration
    local plugin = assert(wasm.load(name, guests .. "script.wasm", { vm_config = "on_vm_start random" }))
    contexts[name] = assert(wasm.on_configure(plugin, [[
on_configure random
on_context_create random
on_request_headers random
on_request_headers random
on_request_body trap]]))
end
_EOC_
    init_worker => 'assert(wasm.init_worker())',
    location => <<'_EOC_',
location / {
    access_by_lua_block {
        for _, context in pairs(contexts) do
            assert(wasm.on_http_request_headers(context))
            if ngx.var.arg_trap then
                wasm.on_http_request_body(context, "body", true)
            end
        end
    }
    content_by_lua_block { ngx.print(ngx.worker.pid()) }
}
_EOC_
);
my ($ok, $output) = $server->start;
ok($ok, 'nginx starts') or diag $output;

# Requests until each worker has had one.
sub ask_all {
    my $path = shift;
    my %asked;
    return Server::wait_for(sub { $asked{ ($server->get($path))[1] } = 1; return keys %asked == 3 }, 10);
}

ok(ask_all('/'), 'each worker answers');
ok(ask_all('/?trap=1'), 'and traps');
ok(ask_all('/'), 'and answers again');
ok($server->reload, 'the same after a reload');
ok(ask_all('/'), 'each worker answers');

my @numbers = map { / random ([0-9a-f]{16})\b/ ? $1 : () } $server->log(qr/ random /);
my %numbers = map { $_ => 1 } @numbers;
# of two plugins, in the master twice and in three workers three times, two at the start; in each worker three requests, three each
cmp_ok(scalar @numbers, '>=', 2 * (2 * 2 + 3 * 3 * 2 + 3 * 3 * 3), scalar(@numbers) . ' numbers of 8 bytes');
is(scalar keys %numbers, scalar @numbers, 'no two are the same');
is_deeply([$server->log(qr/\[(?:alert|emerg|crit)\]/)], [], 'nothing in the log');

done_testing();
