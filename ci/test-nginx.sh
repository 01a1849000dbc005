#!/usr/bin/env bash
# Test::Nginx, which only Debian's sid packages. Prints PERL5LIB.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

install_tool test-nginx libtest-nginx-perl fetch_debs sid libtest-nginx-perl
print_var PERL5LIB "$TOOLS/test-nginx/usr/share/perl5${PERL5LIB:+:$PERL5LIB}"
