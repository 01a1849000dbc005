//! What holds a request and what makes it go on.

mod common;

use std::thread;
use std::time::Duration;

use common::event::response;
use common::{CALL_AND_PAUSE, GO_ON, PAUSE, Proxy, no_fork, plugin_text, resume};
use resty_proxy_wasm::abi::types::LogLevel;
use resty_proxy_wasm::plugin::background::{self, Delivered, next_tick};
use resty_proxy_wasm::plugin::{BodyOutcome, Waiting};

#[test]
fn a_request_that_pauses_with_a_call_out_waits_for_the_answer() {
    let _fork = no_fork();
    let say_all =
        "(call $say (i32.const 43) (local.get 0)) (call $say (i32.const 43) (local.get 2))
        (call $say (i32.const 43) (local.get 3)) (call $say (i32.const 43) (local.get 4))
        (call $show (i32.const 4)) (call $go_on (i32.const 2))";
    let proxy = Proxy::new(&[CALL_AND_PAUSE, ('R', say_all)]);
    let (stream, http) = proxy.request(false);
    stream.on_request_headers().unwrap();
    assert_eq!(proxy.host.take_calls(), "http 1 upstream");
    assert!(stream.is_paused());
    assert!(
        stream.wait() > Some(PAUSE),
        "the call's own timeout is what counts"
    );
    assert_eq!(
        resume(&stream),
        BodyOutcome::Hold,
        "it was woken for nothing"
    );
    proxy.log();

    assert_eq!(proxy.host.answer(1, response(b"abc")), Delivered::Waiting);
    assert_eq!(http.woken.get(), 1);
    assert_eq!(proxy.log(), "", "the request tells the plugin itself");
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    assert_eq!(proxy.log(), "R1 +1 +2 +3 +1 abc");
    assert!(!stream.is_paused());
    assert_eq!(stream.wait(), None);
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Dropped);
    assert_eq!(http.woken.get(), 1, "it does not wait any more");
    stream.finish();
    assert_eq!(
        proxy.host.take_calls(),
        "",
        "no call is left to be cancelled"
    );
}

#[test]
fn a_request_that_goes_on_with_a_call_out_waits_if_the_user_wants_it() {
    let _fork = no_fork();
    let text = plugin_text(&[('H', "(call $http) i32.const 0")]);
    for for_calls in [true, false] {
        let waiting = Waiting {
            for_calls,
            pause: PAUSE,
        };
        let proxy = Proxy::with(&text, waiting);
        let (stream, _) = proxy.begun();
        assert!(!stream.is_paused());
        assert_eq!(stream.wait().is_some(), for_calls);
        let delivered = proxy.host.answer(1, response(b""));
        if for_calls {
            assert_eq!(delivered, Delivered::Waiting);
            assert_eq!(resume(&stream), BodyOutcome::Pass);
            assert_eq!(stream.wait(), None);
        } else {
            assert_eq!(delivered, Delivered::Ran);
        }
        assert_eq!(proxy.log(), "R1");
    }
}

#[test]
fn of_several_calls_each_is_waited_for() {
    let _fork = no_fork();
    let second_goes_on =
        "(if (i32.eq (local.get 1) (i32.const 2)) (then (call $go_on (i32.const 2))))";
    let text = plugin_text(&[
        ('H', "(call $http) (call $http) i32.const 1"),
        ('R', second_goes_on),
    ]);
    for for_calls in [true, false] {
        let waiting = Waiting {
            for_calls,
            pause: PAUSE,
        };
        let proxy = Proxy::with(&text, waiting);
        let (stream, _) = proxy.begun();
        assert_eq!(proxy.host.answer(2, response(b"")), Delivered::Waiting);
        let outcome = resume(&stream);
        assert!(!stream.is_paused());
        if for_calls {
            assert_eq!(outcome, BodyOutcome::Hold, "the first one is still out");
            assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Waiting);
            assert_eq!(resume(&stream), BodyOutcome::Pass);
        } else {
            assert_eq!(outcome, BodyOutcome::Pass);
            assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Ran);
        }
        assert_eq!(stream.wait(), None);
        assert_eq!(proxy.log(), "R2 R1");
    }
}

#[test]
fn a_pause_outlasts_the_answers_that_do_not_end_it() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[('H', "(call $http) (call $http) i32.const 1")]);
    let (stream, http) = proxy.begun();
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Waiting);
    assert_eq!(resume(&stream), BodyOutcome::Hold);
    assert!(stream.is_paused() && stream.wait() > Some(PAUSE));
    assert_eq!(proxy.host.answer(2, response(b"")), Delivered::Waiting);
    assert_eq!(http.woken.get(), 2);
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    assert_eq!(stream.wait(), None);
    let logged = proxy.log();
    assert!(
        logged.starts_with("R1 R2 proxy_on_request_headers paused the request with nothing"),
        "{logged}"
    );
}

#[test]
fn a_call_made_in_the_callback_is_waited_for_too() {
    let _fork = no_fork();
    for (context, waits_itself) in [(2, true), (1, false)] {
        let chain = format!(
            "(if (i32.eq (local.get 1) (i32.const 1))
                (then (call $in (i32.const {context})) (call $http))
                (else {GO_ON}))"
        );
        let proxy = Proxy::new(&[CALL_AND_PAUSE, ('R', &chain)]);
        let (stream, http) = proxy.begun();
        proxy.host.answer(1, response(b""));
        assert_eq!(resume(&stream), BodyOutcome::Hold);
        assert_eq!(proxy.host.take_calls(), "http 1 upstream, http 2 upstream");
        assert_eq!(stream.wait() > Some(PAUSE), waits_itself);
        assert!(stream.wait().is_some());

        let delivered = proxy.host.answer(2, response(b""));
        let want = if waits_itself {
            Delivered::Waiting
        } else {
            Delivered::Ran
        };
        assert_eq!(delivered, want);
        assert!(http.woken.get() > 1);
        assert_eq!(resume(&stream), BodyOutcome::Pass);
        assert_eq!(proxy.log(), "R1 R2");
    }
}

#[test]
fn a_request_waits_for_what_another_has_called_for_before() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[('H', "i32.const 1"), ('h', "(call $http) i32.const 0")]);
    let (other, _) = proxy.request(false);
    other.on_response_headers().unwrap();
    let (stream, http) = proxy.begun();
    assert!(stream.wait().is_some() && stream.wait() <= Some(PAUSE));
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Ran);
    assert_eq!(http.woken.get(), 1);
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    assert_eq!(stream.wait(), None);
    let logged = proxy.log();
    assert!(
        logged.starts_with("R1 proxy_on_request_headers paused the request with nothing"),
        "{logged}"
    );
}

#[test]
fn a_response_or_a_close_ends_the_wait() {
    let _fork = no_fork();
    for (end, status) in [
        ("(call $refuse (i32.const 2))", Some(403)),
        (
            "(call $in (i32.const 2)) (call $check (call $close (i32.const 0)))",
            None,
        ),
    ] {
        let calls = ('H', "(call $http) (call $http) i32.const 1");
        let proxy = Proxy::new(&[calls, ('R', end)]);
        let (stream, http) = proxy.begun();
        proxy.host.take_calls();
        for token in [1, 2] {
            let delivered = proxy.host.answer(token, response(b""));
            assert_eq!(delivered, Delivered::Waiting);
        }
        assert_eq!(resume(&stream), BodyOutcome::Pass);
        assert_eq!(stream.wait(), None);
        assert_eq!(http.local_response.get(), status);
        assert_eq!(http.closed.get(), status.is_none());
        assert_eq!(proxy.log(), "R1", "nothing of the request is left");
        stream.finish();
        assert_eq!(proxy.host.answer(2, response(b"")), Delivered::Dropped);
        proxy.log();
        let _next = proxy.request(false);
        assert_eq!(proxy.log(), "C2", "no call keeps the id");
    }
}

#[test]
fn a_response_from_elsewhere_ends_the_wait_too() {
    let _fork = no_fork();
    let refuse = "(call $refuse (i32.const 2)) i32.const 0";
    let proxy = Proxy::new(&[CALL_AND_PAUSE, ('h', refuse)]);
    let (stream, http) = proxy.begun();
    let (other, _) = proxy.request(false);
    other.on_response_headers().unwrap();
    assert_eq!(http.woken.get(), 1);
    assert_eq!(resume(&stream), BodyOutcome::Pass);
    assert_eq!(stream.wait(), None);
}

#[test]
fn a_body_is_held_at_its_end_until_the_answer() {
    let _fork = no_fork();
    let call_at_end = "(if (local.get 2) (then (call $http))) i32.const 1";
    let look = "(call $in (i32.const 2)) (call $show (i32.const 0))";
    let change = "(call $check (call $set_buffer
        (i32.const 0) (i32.const 0) (i32.const 3) (i32.const 16) (i32.const 2)))";
    for (change, chunks, want) in [
        ("", &[&b"one"[..]][..], None),
        ("", &[b"one", b"two"], Some("onetwo")),
        (change, &[b"one"], Some("up")),
        (change, &[b"one", b"two"], Some("uptwo")),
    ] {
        let answered = format!("{look} {change} {GO_ON}");
        let proxy = Proxy::new(&[('B', call_at_end), ('R', &answered)]);
        let (stream, _) = proxy.request(true);
        stream.on_request_headers().unwrap();
        let mut out = Vec::new();
        for (i, chunk) in chunks.iter().enumerate() {
            let end = i + 1 == chunks.len();
            let outcome = stream.on_request_body(Some(chunk), end, &mut out);
            assert_eq!(outcome.unwrap(), BodyOutcome::Hold);
            assert_eq!(stream.wait().is_some(), end);
        }
        proxy.log();
        assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Waiting);
        let outcome = stream.resume(&mut out).unwrap();
        assert_eq!(
            proxy.log(),
            format!("R1 {}", String::from_utf8(chunks.concat()).unwrap())
        );
        match want {
            None => assert_eq!(outcome, BodyOutcome::Pass),
            Some(want) => {
                assert_eq!(outcome, BodyOutcome::Replace);
                assert_eq!(out, want.as_bytes());
            }
        }
        assert!(!stream.is_paused());
        assert_eq!(stream.wait(), None);
    }
}

#[test]
fn a_chunk_waits_for_the_call_that_was_made_for_it() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[('B', "(call $http) i32.const 0")]);
    let (stream, _) = proxy.request(true);
    stream.on_request_headers().unwrap();
    let mut out = Vec::new();
    for (token, chunk, end) in [(1, b"one", false), (2, b"two", true)] {
        let outcome = stream.on_request_body(Some(chunk), end, &mut out);
        assert_eq!(outcome.unwrap(), BodyOutcome::Hold);
        assert!(stream.wait().is_some() && !stream.is_paused());
        assert_eq!(proxy.host.answer(token, response(b"")), Delivered::Waiting);
        assert_eq!(stream.resume(&mut out).unwrap(), BodyOutcome::Pass);
        assert_eq!(stream.wait(), None);
    }
}

#[test]
fn what_was_not_resumed_in_time_goes_on_with_a_warning() {
    let _fork = no_fork();
    // A call of the plugin context, whose answer might resume the request.
    let text = plugin_text(&[
        ('F', "(call $http) i32.const 1"),
        ('H', "(local.get 2)"),
        ('B', "i32.const 1"),
    ]);
    let pause = Duration::from_millis(100);
    let waiting = Waiting {
        for_calls: true,
        pause,
    };
    let proxy = Proxy::with(&text, waiting);
    let (headers, http) = proxy.begun();
    let (body, _) = proxy.request(true);
    body.on_request_headers().unwrap();
    let mut out = Vec::new();
    for (chunk, end) in [(b"one", false), (b"two", true)] {
        let outcome = body.on_request_body(Some(chunk), end, &mut out);
        assert_eq!(outcome.unwrap(), BodyOutcome::Hold);
    }
    for stream in [&headers, &body] {
        assert!(stream.wait().is_some() && stream.wait() <= Some(pause));
    }
    proxy.log();
    thread::sleep(pause);

    assert_eq!(resume(&headers), BodyOutcome::Pass);
    let warning =
        "proxy_on_request_headers paused the request and did not resume it in 100ms, it goes on";
    assert_eq!(proxy.host.log.at(LogLevel::Warn), [warning]);
    assert_eq!(proxy.log(), warning);
    assert_eq!(body.resume(&mut out).unwrap(), BodyOutcome::Replace);
    assert_eq!(out, b"onetwo");
    let warning = "proxy_on_request_body paused at the end of the body and did not resume it in 100ms, it goes on";
    assert_eq!(proxy.log(), warning);
    for stream in [&headers, &body] {
        assert!(!stream.is_paused());
        assert_eq!(stream.wait(), None);
    }
    assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Ran);
    assert_eq!(http.woken.get(), 0);
}

#[test]
fn headers_that_the_body_may_resume_stay_paused_without_a_warning() {
    let _fork = no_fork();
    let text = plugin_text(&[('F', "(call $http) i32.const 1"), ('H', "i32.const 1")]);
    let waiting = Waiting {
        for_calls: true,
        pause: Duration::ZERO,
    };
    let proxy = Proxy::with(&text, waiting);
    let (stream, _) = proxy.request(true);
    proxy.log();
    stream.on_request_headers().unwrap();
    assert!(stream.is_paused());
    assert_eq!(stream.wait(), None);
    let mut out = Vec::new();
    let outcome = stream.on_request_body(Some(b"body"), true, &mut out);
    assert_eq!(outcome.unwrap(), BodyOutcome::Pass);
    assert!(!stream.is_paused());
    assert_eq!(proxy.log(), "H2 B2");
}

#[test]
fn in_0_2_100_headers_may_wait_for_nothing_but_the_body() {
    let _fork = no_fork();
    let text = |version: &str, on_headers: &str| {
        plugin_text(&[('H', on_headers), ('h', "(call $http) i32.const 0")])
            .replace("0_2_1\"", &format!("{version}\""))
    };
    for (version, action, has_body, waits) in [
        ("0_2_100", 1, true, false),
        ("0_2_100", 1, false, true),
        ("0_2_100", 4, true, true),
        ("0_2_1", 1, true, true),
    ] {
        let text = text(version, &format!("i32.const {action}"));
        let proxy = Proxy::with(&text, Waiting::default());
        let (other, _) = proxy.request(false);
        other.on_response_headers().unwrap();
        let (stream, http) = proxy.request(has_body);
        stream.on_request_headers().unwrap();
        assert!(stream.is_paused());
        assert_eq!(stream.wait().is_some(), waits, "{version}: {action}");
        assert_eq!(proxy.host.answer(1, response(b"")), Delivered::Ran);
        assert_eq!(http.woken.get(), u32::from(waits));
    }

    let proxy = Proxy::with(&text("0_2_100", CALL_AND_PAUSE.1), Waiting::default());
    let (stream, _) = proxy.request(true);
    stream.on_request_headers().unwrap();
    assert!(stream.wait() > Some(PAUSE), "its own call is out");
}

#[test]
fn what_nothing_can_resume_goes_on_at_once() {
    let _fork = no_fork();
    let proxy = Proxy::new(&[('H', "i32.const 1"), ('B', "i32.const 1")]);
    let (stream, http) = proxy.request(false);
    proxy.log();
    stream.on_request_headers().unwrap();
    assert_eq!(
        proxy.log(),
        "H2 proxy_on_request_headers paused the request with nothing outstanding that could resume it, it goes on"
    );
    let mut out = Vec::new();
    let outcome = stream.on_request_body(Some(b"body"), true, &mut out);
    assert_eq!(outcome.unwrap(), BodyOutcome::Pass);
    assert_eq!(
        proxy.log(),
        "B2 proxy_on_request_body paused at the end of the body with nothing outstanding that could resume it, it goes on"
    );
    assert!(!stream.is_paused());
    assert_eq!((stream.wait(), http.woken.get()), (None, 0));
}

#[test]
fn a_request_is_resumed_by_another_or_by_a_tick() {
    let _fork = no_fork();
    let go_on = format!("{GO_ON} i32.const 0");
    let text = plugin_text(&[
        ('F', "(call $tick (i32.const 5)) i32.const 1"),
        ('H', "i32.const 1"),
        ('h', &go_on),
        ('T', GO_ON),
    ]);
    for by_tick in [false, true] {
        let proxy = Proxy::with(&text, Waiting::default());
        let tick = next_tick().unwrap();
        let (stream, http) = proxy.begun();
        assert!(stream.wait().is_some() && stream.wait() <= Some(PAUSE));
        let (other, _) = proxy.request(false);
        let resumes = || match by_tick {
            false => other.on_response_headers().unwrap(),
            true => assert!(background::tick(tick.context)),
        };
        resumes();
        assert_eq!(http.woken.get(), 1);
        assert_eq!(resume(&stream), BodyOutcome::Pass);
        assert!(!stream.is_paused() && stream.wait().is_none());
        resumes();
        assert_eq!(http.woken.get(), 1, "it does not wait any more");
    }
}
