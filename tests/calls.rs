//! The calls of plugins: what is told of them and when they end.

mod common;

use common::event::{closed, failed, fields, grpc_message, response};
use common::{CALL_AND_PAUSE, GO_ON, PAUSE, Proxy, no_fork, plugin_text, resume};
use resty_proxy_wasm::abi::host::{CallError, CallEvent};
use resty_proxy_wasm::abi::types::LogLevel;
use resty_proxy_wasm::plugin::background::Delivered;
use resty_proxy_wasm::plugin::{BodyOutcome, Error, Waiting};

/// A call that is not the request's own.
const CALL_AS_PLUGIN: &str = "(call $in (i32.const 1)) (call $http) i32.const 0";

/// What of calls was counted since this was last asked.
fn counted(proxy: &Proxy) -> String {
    let events = proxy.host.take_events();
    let of_calls = |event: &&str| matches!(*event, "begun" | "ended" | "failed");
    let calls: Vec<_> = events.split(' ').filter(of_calls).collect();
    calls.join(" ")
}

#[test]
fn a_call_that_is_refused_is_not_waited_for() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[CALL_AND_PAUSE]);
    proxy.host.refuses.set(Some(CallError::Upstream));
    let (stream, _) = proxy.request(false);
    proxy.log();
    stream.on_request_headers().unwrap();
    assert!(!stream.is_paused());
    assert_eq!(stream.wait(), None);
    let logged = proxy.log();
    assert!(logged.starts_with("H2 !2 proxy_on_request_headers paused the request with nothing"));
    assert_eq!(counted(&proxy), "");
}

#[test]
fn an_answer_that_the_plugin_has_no_callback_for_ends_the_call() {
    let _fork = no_fork();
    let text = plugin_text(&[('H', "(call $http) i32.const 0")]);
    let text = text.replace("proxy_on_http_call_response", "something_else");
    let proxy = Proxy::with(&text, Waiting::default());
    let (stream, _) = proxy.begun();
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Waiting);
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    assert_eq!(proxy.log(), "");
}

#[test]
fn a_response_that_pauses_with_a_call_out_goes_on_with_a_warning() {
    let _fork = no_fork();
    let warning = "proxy_on_response_headers paused with calls out, but a response cannot be held, it goes on";
    let resumed = "(call $http) (call $check (call $continue (i32.const 1))) i32.const 1";
    for (on_headers, warnings) in [
        ("(call $http) i32.const 1", &[warning][..]),
        ("(call $http) i32.const 0", &[]),
        (resumed, &[]),
        ("i32.const 1", &[]),
    ] {
        let proxy = Proxy::new(&[('H', CALL_AS_PLUGIN), ('h', on_headers)]);
        let (stream, http) = proxy.begun();
        stream.on_response_headers().unwrap();
        assert_eq!(proxy.host.log.at(LogLevel::Warn), warnings, "{on_headers}");
        assert!(!stream.is_paused());
        assert_eq!(stream.wait(), None);
        proxy.log();
        if on_headers.contains("$http") {
            assert_eq!(proxy.host.answer(2, response(b"")), Delivered::Ran);
            assert_eq!(proxy.log(), "R2");
        }
        assert_eq!(http.woken.get(), 0);
    }
}

#[test]
fn a_call_that_a_request_waited_for_is_cancelled_when_it_ends() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[CALL_AND_PAUSE]);
    let (stream, http) = proxy.begun();
    stream.finish();
    assert_eq!(proxy.log(), "D2 L2 X2");
    assert_eq!(proxy.host.take_calls(), "http 1 upstream, cancel 1");
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Dropped);
    assert_eq!(proxy.log(), "");
    assert_eq!(http.woken.get(), 0);
    let _next = proxy.request(false);
    assert_eq!(proxy.log(), "C2", "no call keeps the id");
}

#[test]
fn what_a_request_sent_and_did_not_wait_for_goes_on_without_it() {
    let _fork = no_fork();
    let text = plugin_text(&[('H', "(call $http) (call $unary) (call $stream) i32.const 0")]);
    let waiting = Waiting {
        for_calls: false,
        pause: PAUSE,
    };
    let proxy = Proxy::with(&text, waiting);
    let (stream, _) = proxy.begun();
    proxy.host.take_calls();
    stream.finish();
    assert_eq!(proxy.host.take_calls(), "cancel 3", "nobody would end it");
    proxy.log();
    for (token, event, said) in [(1, response(b""), "R1"), (2, grpc_message(), "M2")] {
        let (next, _) = proxy.request(false);
        assert!(proxy.log().starts_with("C3"));
        assert_eq!(proxy.host.answer(token, event), Delivered::Ran);
        assert_eq!(proxy.log(), said);
        next.finish();
        proxy.log();
    }
    let _again = [proxy.request(false), proxy.request(false)];
    assert_eq!(proxy.log(), "C3 C2");
}

#[test]
fn a_call_made_in_proxy_on_log_outlives_its_request() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[('L', "(call $http) (call $http)")]);
    let (stream, http) = proxy.begun();
    stream.finish();
    drop(stream);
    assert_eq!(proxy.log(), "D2 L2 X2");
    assert_eq!(proxy.host.take_calls(), "http 1 upstream, http 2 upstream");
    let _third = proxy.request(false);
    assert_eq!(
        proxy.log(),
        "C3",
        "an answer for 2 would reach another request"
    );
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Ran);
    assert_eq!(proxy.log(), "R1");
    let _fourth = proxy.request(false);
    assert_eq!(proxy.log(), "C4");
    assert_eq!(proxy.host.answer(2, failed()), Delivered::Ran);
    assert!(proxy.log().ends_with(" R2"));
    let _again = proxy.request(false);
    assert_eq!(proxy.log(), "C2");
    assert_eq!(http.woken.get(), 0);
}

#[test]
fn a_request_that_ends_while_it_waits_may_be_done_with_the_answer() {
    let _fork = no_fork();
    let done = "(call $in (i32.const 2)) (call $check (call $done))";
    let proxy = Proxy::new(&[CALL_AND_PAUSE, ('D', "i32.const 0"), ('R', done)]);
    let (stream, http) = proxy.begun();
    stream.finish();
    assert_eq!(proxy.log(), "D2");
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Ran);
    assert_eq!(http.woken.get(), 0);
    assert_eq!(proxy.log(), "R1 L2 X2");
    assert_eq!(proxy.plugin.contexts(), 1);
}

#[test]
fn a_request_that_ends_is_told_of_the_answers_that_it_has() {
    let _fork = no_fork();
    let done = "(if (i32.eq (local.get 1) (i32.const 2))
        (then (call $in (i32.const 2)) (call $check (call $done))))";
    let calls = ('H', "(call $http) (call $http) i32.const 1");
    let proxy = Proxy::new(&[calls, ('D', "i32.const 0"), ('R', done)]);
    let (stream, http) = proxy.begun();
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Waiting);
    stream.finish();
    assert_eq!(proxy.log(), "R1 D2");
    assert_eq!(proxy.host.answer(2, response(b"")), Delivered::Ran);
    assert_eq!(http.woken.get(), 1);
    assert_eq!(proxy.log(), "R2 L2 X2");
}

#[test]
fn a_trap_in_the_callback_ends_every_wait() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[
        ('F', "(call $http) i32.const 1"),
        ('B', "(call $http) i32.const 1"),
        ('R', "unreachable"),
    ]);
    let requests = [proxy.request(true), proxy.request(true)];
    let [(first, first_http), (second, second_http)] = &requests;
    let mut out = Vec::new();
    for (stream, _) in &requests {
        let outcome = stream.on_request_body(Some(b"body"), true, &mut out);
        assert_eq!(outcome.unwrap(), BodyOutcome::Hold);
    }
    proxy.log();
    proxy.host.take_calls();
    assert_eq!(proxy.host.answer(2, response(b"")), Delivered::Waiting);
    let error = first.resume(&mut out).unwrap_err();
    assert!(matches!(error, Error::Trap { .. }), "{error}");
    assert_eq!(out, b"body", "what was held is given back");
    assert_eq!(first.wait(), None);
    let logged = proxy.log();
    assert!(
        logged.starts_with("R2 proxy_on_http_call_response trapped: "),
        "{logged}"
    );
    let cancelled = proxy.host.take_calls();
    assert!(
        matches!(&*cancelled, "cancel 1, cancel 3" | "cancel 3, cancel 1"),
        "{cancelled}"
    );

    assert_eq!((first_http.woken.get(), second_http.woken.get()), (1, 1));
    out.clear();
    let error = second.resume(&mut out).unwrap_err();
    assert!(matches!(error, Error::Poisoned), "{error}");
    assert_eq!(out, b"body");
    assert_eq!(second.wait(), None);
    let logged = proxy.log();
    assert!(logged.starts_with("the request cannot go on: "), "{logged}");
    for token in [1, 2, 3] {
        let delivered = proxy.host.answer(token, response(b""));
        assert_eq!(delivered, Delivered::Dropped);
    }
    for (stream, _) in &requests {
        stream.finish();
    }
    assert_eq!(proxy.log(), "");

    let _next = proxy.request(true);
    assert_eq!(proxy.log(), "C1 V1 F1 C2");
    assert_eq!(proxy.host.take_calls(), "http 1 upstream");
}

#[test]
fn a_trap_that_no_request_waits_for_ends_every_wait_too() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[
        ('F', "(call $http) i32.const 1"),
        CALL_AND_PAUSE,
        ('R', "unreachable"),
    ]);
    let (stream, http) = proxy.begun();
    assert_eq!(proxy.host.answer(2, response(b"")), Delivered::Waiting);
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Ran);
    let logged = proxy.log();
    assert!(
        logged.starts_with("R1 proxy_on_http_call_response trapped"),
        "{logged}"
    );
    assert_eq!(http.woken.get(), 2);
    let error = stream.resume(&mut Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Poisoned), "{error}");
    assert_eq!(stream.wait(), None);
    let logged = proxy.log();
    assert!(logged.starts_with("the request cannot go on: "), "{logged}");
}

#[test]
fn the_answer_to_a_grpc_call_is_one_message_or_that_it_failed() {
    let _fork = no_fork();
    let say_all =
        "(call $say (i32.const 43) (local.get 0)) (call $say (i32.const 43) (local.get 2))";
    let message = format!("{say_all} (call $show (i32.const 5)) {GO_ON}");
    let proxy = Proxy::new(&[
        ('H', "(call $unary) i32.const 1"),
        ('I', say_all),
        ('M', &message),
        ('Z', say_all),
    ]);
    let (stream, _) = proxy.begun();
    assert_eq!(proxy.host.take_calls(), "grpc 1 upstream");
    assert!(stream.wait() > Some(PAUSE));
    for event in [CallEvent::InitialMetadata(fields(3)), grpc_message()] {
        assert_eq!(proxy.host.answer(1, event), Delivered::Waiting);
    }
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    assert_eq!(stream.wait(), None);
    assert_eq!(proxy.log(), "I1 +1 +3 M1 +1 +7 message");
    for event in [CallEvent::TrailingMetadata(fields(1)), closed(true)] {
        assert_eq!(proxy.host.answer(1, event), Delivered::Dropped);
    }
    stream.finish();

    let (stream, _) = proxy.begun();
    assert_eq!(proxy.host.answer(2, closed(true)), Delivered::Waiting);
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    let logged = proxy.log();
    assert!(
        logged.starts_with("Z2 +1 +7 proxy_on_request_headers paused"),
        "{logged}"
    );
    assert_eq!(proxy.host.answer(2, grpc_message()), Delivered::Dropped);
    assert_eq!(proxy.log(), "");
}

#[test]
fn a_grpc_call_is_waited_for_only_by_a_request_that_is_paused() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[('H', "(call $unary) i32.const 0")]);
    let (stream, http) = proxy.begun();
    assert_eq!(stream.wait(), None);
    assert_eq!(proxy.host.answer(1, grpc_message()), Delivered::Ran);
    assert_eq!((&*proxy.log(), http.woken.get()), ("M1", 0));
}

#[test]
fn a_grpc_stream_goes_on_until_it_is_closed() {
    let _fork = no_fork();
    let say_count = "(call $say (i32.const 43) (local.get 2))";
    let proxy = Proxy::new(&[('H', "(call $stream) i32.const 1"), ('E', say_count)]);
    let (stream, _) = proxy.begun();
    assert_eq!(proxy.host.take_calls(), "stream 1 upstream");
    assert!(stream.wait().is_some() && stream.wait() <= Some(PAUSE));
    for event in [
        CallEvent::InitialMetadata(fields(0)),
        grpc_message(),
        grpc_message(),
    ] {
        assert_eq!(proxy.host.answer(1, event), Delivered::Waiting);
    }
    assert_eq!(resume(&stream), BodyOutcome::Hold);
    assert_eq!(proxy.log(), "I1 M1 M1");
    for event in [CallEvent::TrailingMetadata(fields(4)), closed(true)] {
        assert_eq!(proxy.host.answer(1, event), Delivered::Waiting);
    }
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    let logged = proxy.log();
    assert!(
        logged.starts_with("E1 +4 Z1 proxy_on_request_headers paused the request with nothing"),
        "{logged}"
    );
    assert_eq!(proxy.host.answer(1, grpc_message()), Delivered::Dropped);
}

#[test]
fn nothing_is_told_of_a_call_that_was_cancelled() {
    let _fork = no_fork();
    let cancel = "(call $cancel (local.get 1))";
    let proxy = Proxy::new(&[('H', "(call $stream) i32.const 1"), ('M', cancel)]);
    let (stream, _) = proxy.begun();
    for event in [grpc_message(), grpc_message(), closed(true)] {
        assert_eq!(proxy.host.answer(1, event), Delivered::Waiting);
    }
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    let logged = proxy.log();
    assert!(
        logged.starts_with("M1 proxy_on_request_headers paused"),
        "{logged}"
    );
    assert_eq!(proxy.host.take_calls(), "stream 1 upstream, cancel 1");
    assert_eq!(proxy.host.answer(1, closed(true)), Delivered::Dropped);
}

#[test]
fn what_comes_while_a_request_waits_is_told_in_order() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[
        ('H', "(call $http) (call $stream) i32.const 1"),
        ('M', "(call $show (i32.const 5))"),
        ('R', "(call $show (i32.const 4))"),
    ]);
    let (stream, http) = proxy.begun();
    let events = [
        (2, CallEvent::Message(b"a".to_vec())),
        (1, response(b"b")),
        (2, CallEvent::Message(b"c".to_vec())),
        (2, closed(true)),
    ];
    for (token, event) in events {
        assert_eq!(proxy.host.answer(token, event), Delivered::Waiting);
    }
    assert_eq!(http.woken.get(), 4);
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    let logged = proxy.log();
    assert!(logged.starts_with("M2 a R1 b M2 c Z2 "), "{logged}");
}

#[test]
fn a_call_that_failed_has_no_answer_and_is_logged_with_its_upstream() {
    let _fork = no_fork();
    let say_all = "(call $say (i32.const 43) (local.get 2))
        (call $say (i32.const 43) (local.get 3)) (call $say (i32.const 43) (local.get 4))
        (call $show (i32.const 4))";
    let proxy = Proxy::new(&[
        ('H', "(call $http) (call $unary) (call $unary) i32.const 1"),
        ('R', say_all),
    ]);
    let (stream, _) = proxy.begun();
    for (token, event) in [(1, failed()), (2, closed(false)), (3, closed(true))] {
        assert_eq!(proxy.host.answer(token, event), Delivered::Waiting);
    }
    resume(&stream);
    let errors = [
        r#"the call to "upstream" failed: connection refused"#,
        r#"the call to "upstream" failed: gone"#,
    ];
    assert_eq!(proxy.host.log.at(LogLevel::Error), errors);
    let logged = proxy.log();
    let want = format!("{} R1 +0 +0 +0 !1 ", errors[0]);
    assert!(logged.starts_with(&want), "{logged}");
    assert!(logged.contains(" Z2 Z3 "), "{logged}");
}

#[test]
fn a_call_counts_until_it_is_answered_or_has_failed() {
    let _fork = no_fork();
    for (call, begins, last, ends) in [
        ("$http", vec![], response(b""), "ended"),
        ("$http", vec![], failed(), "failed"),
        (
            "$unary",
            vec![CallEvent::InitialMetadata(fields(1))],
            grpc_message(),
            "ended",
        ),
        ("$unary", vec![], closed(true), "ended"),
        ("$unary", vec![], closed(false), "failed"),
        (
            "$stream",
            vec![
                grpc_message(),
                grpc_message(),
                CallEvent::TrailingMetadata(fields(1)),
            ],
            closed(true),
            "ended",
        ),
        ("$stream", vec![grpc_message()], closed(false), "failed"),
    ] {
        let on_headers = format!("(call {call}) i32.const 0");
        let proxy = Proxy::new(&[('H', &on_headers)]);
        let (stream, _) = proxy.begun();
        assert_eq!(counted(&proxy), "begun", "{call}");
        for event in begins {
            proxy.host.answer(1, event);
            if stream.wait().is_some() {
                resume(&stream);
            }
        }
        assert_eq!(counted(&proxy), "", "{call}");
        proxy.host.answer(1, last);
        if stream.wait().is_some() {
            resume(&stream);
        }
        assert_eq!(counted(&proxy), ends, "{call}");
        assert_eq!(proxy.host.answer(1, failed()), Delivered::Dropped);
        stream.finish();
        drop((stream, proxy.context, proxy.plugin));
        let events = proxy.host.take_events();
        assert!(!events.contains("ended"), "{call}: {events}");
    }
}

#[test]
fn a_call_that_is_given_up_has_not_failed() {
    let _fork = no_fork();
    let cancel = "(call $cancel (local.get 1))";
    let proxy = Proxy::new(&[('H', "(call $stream) i32.const 1"), ('M', cancel)]);
    let (stream, _) = proxy.begun();
    proxy.host.answer(1, grpc_message());
    resume(&stream);
    assert_eq!(
        counted(&proxy),
        "begun ended",
        "the plugin has cancelled it"
    );
    stream.finish();

    let proxy = Proxy::new(&[CALL_AND_PAUSE]);
    let (stream, _) = proxy.begun();
    stream.finish();
    assert_eq!(counted(&proxy), "begun ended", "its request has ended");

    let as_plugin = ('F', "(call $http) (call $http) i32.const 1");
    let proxy = Proxy::new(&[as_plugin, ('R', "unreachable")]);
    proxy.host.answer(1, failed());
    assert_eq!(
        counted(&proxy),
        "begun begun ended failed",
        "the callback about one traps"
    );

    let proxy = Proxy::new(&[as_plugin]);
    drop((proxy.context, proxy.plugin));
    let events = proxy.host.take_events();
    assert_eq!(events.matches("ended").count(), 2, "{events}");
}
