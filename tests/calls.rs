//! Calls, requests that wait, and what goes on without a request: ticks, and answers that no request waits for.

mod common;

use std::rc::Rc;
use std::thread;
use std::time::Duration;

use common::{TestHost, TestStream, alone, configure, load_on, no_fork, plugin_text};
use resty_proxy_wasm::abi::host::{CallError, CallEvent, Fields};
use resty_proxy_wasm::abi::types::LogLevel;
use resty_proxy_wasm::plugin::background::{
    self, Delivered, Tick, awaits_end, next_tick, start_contexts,
};
use resty_proxy_wasm::plugin::{
    BodyOutcome, Error, Options, Plugin, PluginContext, Stream, Waiting, process,
};

/// A plugin with one plugin context. Nothing is in the log yet.
struct Proxy {
    host: Rc<TestHost>,
    context: Rc<PluginContext>,
    plugin: Rc<Plugin>,
}

impl Proxy {
    fn new(changed: &[(char, &str)]) -> Self {
        Self::with(&plugin_text(changed), Waiting::default())
    }

    fn with(text: &str, waiting: Waiting) -> Self {
        // Another test may have run on this thread.
        while next_tick().is_some() {}
        let host = Rc::new(TestHost::default());
        let options = Options {
            waiting,
            ..Options::default()
        };
        let plugin = load_on(&host, text, options).unwrap_or_else(|e| panic!("{e}"));
        let context = configure(&plugin).unwrap_or_else(|e| panic!("{e}"));
        host.log.take();
        Self {
            host,
            context,
            plugin,
        }
    }

    fn request(&self, has_body: bool) -> (Stream, Rc<TestStream>) {
        let http = Rc::new(TestStream {
            log: Rc::clone(&self.host.log),
            has_body,
            ..TestStream::default()
        });
        let shared = Rc::<TestStream>::clone(&http);
        let stream = Stream::new(Rc::clone(&self.context), shared);
        (stream.unwrap_or_else(|e| panic!("{e}")), http)
    }

    /// A request without a body whose headers the plugin has seen; what it said is not in the log.
    fn begun(&self) -> (Stream, Rc<TestStream>) {
        let (stream, http) = self.request(false);
        stream.on_request_headers().unwrap();
        self.log();
        (stream, http)
    }

    fn log(&self) -> String {
        self.host.log.take()
    }
}

fn resume(stream: &Stream) -> BodyOutcome {
    stream.resume(&mut Vec::new()).unwrap()
}

fn fields(count: usize) -> Fields {
    vec![(b"name".to_vec(), b"value".to_vec()); count]
}

fn response(body: &[u8]) -> CallEvent {
    CallEvent::Response {
        headers: fields(2),
        body: body.to_vec(),
        trailers: fields(1),
    }
}

fn failed() -> CallEvent {
    CallEvent::Failed {
        reason: "connection refused".into(),
    }
}

fn closed(answered: bool) -> CallEvent {
    CallEvent::Closed {
        status: 7,
        message: b"gone".to_vec(),
        answered,
    }
}

fn grpc_message() -> CallEvent {
    CallEvent::Message(b"message".to_vec())
}

const CALL_AND_PAUSE: (char, &str) = ('H', "(call $http) i32.const 1");
const GO_ON: &str = "(call $go_on (i32.const 2))";
const PAUSE: Duration = Duration::from_secs(60);

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
