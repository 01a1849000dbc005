# Sections for what the error log must hold, line by line and nothing else:
#
#   --- problems    every line of level warn and above
#   --- wasm_log    the same, and what plugins wrote at level info
#   --- log_of      a pattern: of that, only the lines that it matches
#
# Without time, process and request, and without the word "proxy-wasm" before a plugin's name; ROOT stands for the repository. Frames
# of a guest's backtrace are left out, and so is what newer releases of nginx say about `listen … http2`. They replace the default that nothing was logged at level error.
#
# To be used after ProxyWasm.

package ProxyWasm::Log;

use strict;
use warnings;

use Test::Nginx::Util;

my $begin = qr{\] \S+ (?:\*\d+ )?+};
my $rest = qr{(?!(?:proxy-wasm \S+:)?\s+\d+: +(?:0x\w+ - )?\S+!)(?:proxy-wasm )?\K.*?(?=(?: while [a-z ]+)?, client: |$)};
my $problem = qr/\[(?:warn|error|crit|alert|emerg)$begin(?!the "listen \.\.\. http2")/;

Test::Nginx::Util::add_block_preprocessor(sub {
    my $block = shift;

    my $of = $block->log_of // '';
    chomp $of;
    my ($expected, $lines);
    if (defined $block->problems) {
        ($expected, $lines) = ($block->problems, qr/$problem(?=.*(?:$of))$rest/);
    } elsif (defined $block->wasm_log) {
        ($expected, $lines) = ($block->wasm_log, qr/(?:$problem|\[info$begin(?=proxy-wasm ))(?=.*(?:$of))$rest/);
    } else {
        return;
    }

    $expected =~ s/\bROOT\b/$ProxyWasm::root/g;
    $block->set_value(grep_error_log => $lines);
    $block->set_value(grep_error_log_out => $expected);
    $block->set_value(error_log_allowed => '');
});

1;
