//! What goes on without a request: ticks, queues, calls that no request waits for, and forks.

mod common;

use std::cell::Cell;

use common::event::{closed, grpc_message, response};
use common::{GO_ON, PAUSE, Proxy, alone, configure, has_items, no_fork, resume, run_queues};
use resty_proxy_wasm::abi::host::CallError;
use resty_proxy_wasm::abi::types::LogLevel;
use resty_proxy_wasm::plugin::background::{
    self, Delivered, Tick, awaits_end, has_queues, next_tick, start_contexts,
};
use resty_proxy_wasm::plugin::{BodyOutcome, process};

/// Registers queue 8 as soon as the plugin context is configured.
const REGISTER: (char, &str) = ('F', "(call $register (i32.const 8)) i32.const 1");
/// Puts an item into it for each request.
const ENQUEUE: (char, &str) = ('H', "(call $enqueue (i32.const 8)) i32.const 0");
const SAY_QUEUE: (char, &str) = ('Q', "(call $say (i32.const 43) (local.get 1))");

#[test]
fn a_plugin_context_ticks_until_it_stops_or_is_gone() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[
        ('F', "(call $tick (i32.const 5)) i32.const 1"),
        (
            'H',
            "(call $tick (i32.const 9)) (call $tick (i32.const 7)) i32.const 0",
        ),
        ('T', "(call $tick (i32.const 0))"),
    ]);
    assert!(background::has_ticks());
    let tick = next_tick().unwrap();
    assert_eq!(tick.period, 5);
    assert!(!background::has_ticks() && next_tick().is_none());

    let (stream, _) = proxy.begun();
    let of_period = |period| Some(Tick { period, ..tick });
    assert_eq!(next_tick(), of_period(7), "the last word counts");
    assert!(background::tick(tick.context));
    assert_eq!(proxy.log(), "T1");
    assert_eq!(next_tick(), of_period(0));
    assert_eq!(next_tick(), None);

    drop(stream);
    let Proxy { context, host, .. } = proxy;
    drop(context);
    host.log.take();
    assert!(!background::tick(tick.context));
    assert_eq!(host.log.take(), "");
}

#[test]
fn after_a_trap_in_a_tick_the_next_one_has_a_new_vm() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[
        ('F', "(call $tick (i32.const 5)) i32.const 1"),
        ('T', "unreachable"),
    ]);
    let tick = next_tick();
    let context = tick.unwrap().context;
    assert!(background::tick(context));
    let logged = proxy.log();
    assert!(logged.starts_with("T1 proxy_on_tick trapped: "), "{logged}");
    assert_eq!(next_tick(), None);
    assert!(background::tick(context));
    let logged = proxy.log();
    assert!(logged.starts_with("C1 V1 F1 T1 "), "{logged}");
    assert_eq!(next_tick(), tick, "it has asked for ticks again");
}

#[test]
fn a_new_vm_does_not_tick_unless_it_is_asked_to() {
    let _fork = no_fork();
    // It traps where there is no body.
    let tick_or_trap =
        "(call $tick (i32.const 5)) (if (local.get 2) (then unreachable)) i32.const 0";
    let proxy = Proxy::new(&[('H', tick_or_trap)]);
    let (stream, _) = proxy.request(true);
    stream.on_request_headers().unwrap();
    let tick = next_tick().unwrap();
    assert_eq!(tick.period, 5);
    let (stream, _) = proxy.request(false);
    assert!(stream.on_request_headers().is_err());
    assert_eq!(next_tick(), None, "what trapped has asked for nothing");
    let _next = proxy.request(true);
    assert_eq!(next_tick(), Some(Tick { period: 0, ..tick }));
}

#[test]
fn an_item_is_told_of_once_where_the_queue_was_registered_last() {
    let _fork = no_fork();
    let register_again = "(call $register (i32.const 8)) i32.const 0";
    let proxy = Proxy::new(&[REGISTER, ENQUEUE, ('h', register_again), SAY_QUEUE]);
    let _second = configure(&proxy.plugin).unwrap();
    let (stream, _) = proxy.request(false);
    proxy.log();
    assert!(!has_items());
    stream.on_request_headers().unwrap();
    assert!(has_items());
    assert_eq!(proxy.log(), "H3", "the VM is busy with it");
    run_queues();
    assert_eq!(proxy.log(), "Q2 +8");
    assert!(!has_items());
    run_queues();
    assert_eq!(proxy.log(), "");

    stream.on_response_headers().unwrap();
    proxy.begun();
    run_queues();
    assert_eq!(proxy.log(), "Q1 +8");

    let other = Proxy::new(&[REGISTER]);
    proxy.begun();
    run_queues();
    assert_eq!((&*proxy.log(), &*other.log()), ("", "Q1"));

    drop(other);
    proxy.begun();
    run_queues();
    assert_eq!(proxy.log(), "Q1 +8", "it is the last that is left");
}

#[test]
fn an_item_that_was_left_before_a_trap_is_told_of() {
    let _fork = no_fork();
    let enqueue = "(call $enqueue (i32.const 8)) unreachable";
    let proxy = Proxy::new(&[REGISTER, ('H', enqueue)]);
    let (stream, _) = proxy.request(false);
    assert!(stream.on_request_headers().is_err());
    proxy.log();
    run_queues();
    assert_eq!(proxy.log(), "C1 V1 F1 Q1");
}

#[test]
fn each_item_is_told_of_queue_by_queue_in_turn() {
    let _fork = no_fork();
    let register = "(call $register (i32.const 8)) (call $register (i32.const 3)) i32.const 1";
    let enqueue = "(call $enqueue (i32.const 8)) (call $enqueue (i32.const 3))
        (call $enqueue (i32.const 8)) (call $enqueue (i32.const 5)) i32.const 0";
    let pass_on = format!(
        "{} (if (i32.eq (local.get 1) (i32.const 8)) (then (call $enqueue (i32.const 3))))",
        SAY_QUEUE.1
    );
    let proxy = Proxy::new(&[('F', register), ('H', enqueue), ('Q', &pass_on)]);
    proxy.begun();
    run_queues();
    let told = "Q1 +3 Q1 +8 Q1 +3 Q1 +8 Q1 +3";
    assert_eq!(proxy.log(), told, "nobody registered 5");
    assert!(!has_items());
}

#[test]
fn a_plugin_that_fills_its_own_queue_is_told_of_it_for_so_long_at_once() {
    let _fork = no_fork();
    let again = format!("{} (call $enqueue (i32.const 8))", SAY_QUEUE.1);
    let proxy = Proxy::new(&[REGISTER, ENQUEUE, ('Q', &again)]);
    proxy.begun();
    for _ in 0..2 {
        run_queues();
        assert_eq!(proxy.log(), ["Q1 +8"; 100].join(" "));
        assert!(has_items());
    }
}

#[test]
fn a_paused_request_waits_for_the_items_of_a_queue() {
    let _fork = no_fork();
    let enqueue = ('h', ENQUEUE.1);
    let proxy = Proxy::new(&[REGISTER, ('H', "i32.const 1"), enqueue, ('Q', GO_ON)]);
    let (stream, http) = proxy.begun();
    assert!(stream.wait().is_some() && stream.wait() <= Some(PAUSE));
    let (other, _) = proxy.request(false);
    other.on_response_headers().unwrap();
    assert_eq!(http.woken.get(), 0);
    run_queues();
    assert_eq!(http.woken.get(), 1);
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    assert!(!stream.is_paused() && stream.wait().is_none());
}

#[test]
fn after_a_trap_the_next_item_is_told_to_a_new_vm() {
    let _fork = no_fork();
    let enqueue = "(call $enqueue (i32.const 8)) (call $enqueue (i32.const 8)) i32.const 0";
    let proxy = Proxy::new(&[REGISTER, ('H', enqueue), ('Q', "unreachable")]);
    proxy.begun();
    run_queues();
    let logged = proxy.log();
    let trapped = "Q1 proxy_on_queue_ready trapped: ";
    assert!(logged.starts_with(trapped), "{logged}");
    assert!(logged.contains(&format!(" C1 V1 F1 {trapped}")), "{logged}");
    assert!(!has_items());
}

#[test]
fn a_queue_is_left_with_the_last_plugin_context_that_registered_it() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[REGISTER, ENQUEUE]);
    proxy.begun();
    assert!(has_queues());
    let Proxy { context, host, .. } = proxy;
    drop(context);
    assert_eq!(host.log.take(), "D1 X1");
    assert!(has_items() && !has_queues());
    let left = Cell::new(0);
    let untold = |_| panic!("nobody is there to be told");
    for _ in 0..2 {
        let told = background::run_queues(untold, |id| left.set(left.get() + id));
        assert_eq!(told, background::Left::Nothing);
        assert_eq!(left.get(), 8, "once");
    }
    assert_eq!(host.log.take(), "");
}

#[test]
fn after_a_fork_items_are_told_to_a_new_vm() {
    let _alone = alone();
    let proxy = Proxy::new(&[REGISTER]);
    process::forked();
    Proxy::new(&[ENQUEUE]).begun();
    run_queues();
    assert_eq!(proxy.log(), "C1 V1 F1 Q1");
}

#[test]
fn after_a_fork_each_plugin_context_is_configured_anew() {
    let _alone = alone();
    // Without its call it is not configured.
    let call = "(call $tick (i32.const 5)) (i32.eqz (call $http_call (i32.const 16) (i32.const 8)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 40)))";
    let proxy = Proxy::new(&[('F', call)]);
    let _other = configure(&proxy.plugin).unwrap();
    proxy.log();
    assert_eq!(start_contexts(), 0);
    assert_eq!(proxy.log(), "", "there is nothing to do in this process");

    let old = proxy.host.call_id(1);
    process::forked();
    assert_eq!(next_tick(), None, "the other process has timers of its own");
    let delivered = background::deliver(old, response(b""));
    assert_eq!(delivered, Delivered::Dropped);
    assert!(!awaits_end());
    assert_eq!(start_contexts(), 0);
    assert_eq!(proxy.log(), "C1 V1 F1 C2 F2");
    let ticks = [next_tick().unwrap(), next_tick().unwrap()];
    assert_ne!(ticks[0].context, ticks[1].context);
    assert!(ticks.iter().all(|tick| tick.period == 5));
    assert_eq!(next_tick(), None);
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Ran);
    assert_eq!(proxy.log(), "R1");

    process::forked();
    proxy.host.refuses.set(Some(CallError::Full));
    assert_eq!(start_contexts(), 2);
    let refused = "proxy_on_configure returned false";
    let errors = proxy.host.log.at(LogLevel::Error);
    assert_eq!(errors, [refused, refused]);
}

#[test]
fn after_a_fork_calls_and_vms_of_the_other_process_are_not_counted() {
    let _alone = alone();
    let proxy = Proxy::new(&[('F', "(call $http) i32.const 1"), ('R', "unreachable")]);
    let vm_and_call = "+1:65536 callback callback begun callback";
    assert_eq!(proxy.host.take_events(), vm_and_call);
    process::forked();
    assert_eq!(start_contexts(), 0);
    assert_eq!(proxy.host.take_events(), vm_and_call);
    assert_eq!(proxy.host.take_calls(), "http 1 upstream, http 1 upstream");

    proxy.host.answer(1, response(b""));
    assert_eq!(proxy.host.take_events(), "callback trap ended");
    process::forked();
    assert_eq!(start_contexts(), 0);
    let events = proxy.host.take_events();
    assert_eq!(events, vm_and_call, "it is no restart");
    drop((proxy.context, proxy.plugin));
    let events = proxy.host.take_events();
    assert_eq!(events, "callback callback ended -1:-65536");
}

#[test]
fn only_the_streams_of_plugin_contexts_have_no_end() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[
        ('F', "(call $stream) i32.const 1"),
        ('H', "(call $stream) i32.const 0"),
        ('h', "(call $unary) i32.const 0"),
        ('L', "(call $unary)"),
    ]);
    assert!(!awaits_end());
    let (stream, _) = proxy.begun();
    assert!(awaits_end());
    assert_eq!(proxy.host.answer(2, closed(true)), Delivered::Ran);
    assert!(!awaits_end());
    stream.on_response_headers().unwrap();
    assert!(awaits_end());
    stream.finish();
    for token in [3, 4] {
        assert!(awaits_end(), "{token} outlives the request");
        assert_eq!(proxy.host.answer(token, grpc_message()), Delivered::Ran);
    }
    assert!(!awaits_end());
}
