//! What a plugin may use, and what becomes of one that crashes or grows, without nginx.

mod common;

use std::rc::Rc;

use common::{TestHost, TestStream, configure, load_on, no_fork, plugin_text};
use resty_proxy_wasm::abi::types::LogLevel;
use resty_proxy_wasm::plugin::{BodyOutcome, Error, Options, Plugin, PluginContext, Stream};

const TRAP: (char, &str) = ('H', "unreachable");
/// Takes 4 MiB more.
const GROW: (char, &str) = ('H', "(drop (memory.grow (i32.const 64))) i32.const 0");

/// A plugin with one plugin context and limits of its own. Nothing is in the log yet.
struct Limited {
    host: Rc<TestHost>,
    plugin: Rc<Plugin>,
    context: Rc<PluginContext>,
}

impl Limited {
    fn new(changed: &[(char, &str)], limit: impl FnOnce(&mut Options)) -> Self {
        let host = Rc::new(TestHost::default());
        let mut options = Options::default();
        limit(&mut options);
        let plugin = load_on(&host, &plugin_text(changed), options).unwrap();
        let context = configure(&plugin).unwrap();
        host.log.take();
        host.take_events();
        Self {
            host,
            plugin,
            context,
        }
    }

    fn request(&self) -> Result<(Stream, Rc<TestStream>), Error> {
        let http = Rc::new(TestStream {
            log: Rc::clone(&self.host.log),
            has_body: true,
            ..TestStream::default()
        });
        let stream = Stream::new(Rc::clone(&self.context), Rc::<TestStream>::clone(&http))?;
        Ok((stream, http))
    }

    /// A request that the plugin sees the headers of.
    fn whole_request(&self) -> Result<(), Error> {
        let (stream, _) = self.request()?;
        let result = stream.on_request_headers();
        stream.finish();
        result
    }
}

#[test]
fn a_vm_has_so_many_requests_at_once() {
    let _fork = no_fork();
    let limited = Limited::new(&[], |options| options.bounds.streams = 2);
    let error = "the VM has 2 requests already (wasm_stream_limit)";
    for _ in 0..2 {
        let (first, _) = limited.request().unwrap();
        let (second, _) = limited.request().unwrap();
        for _ in 0..3 {
            let refused = limited.request().map(|_| ()).unwrap_err();
            assert_eq!(refused.to_string(), error);
        }
        assert_eq!(limited.host.log.at(LogLevel::Error), [error], "said once");
        assert_eq!(limited.plugin.contexts(), 3);
        first.finish();
        second.finish();
        limited.host.log.take();
    }
}

#[test]
fn a_request_that_the_plugin_is_not_done_with_makes_room() {
    let _fork = no_fork();
    let limited = Limited::new(&[('D', "i32.const 0")], |options| {
        options.bounds.streams = 2;
    });
    for _ in 0..2 {
        limited.whole_request().unwrap();
    }
    assert_eq!(limited.host.log.take(), "C2 H2 D2 C3 H3 D3");
    for _ in 0..100 {
        limited.whole_request().unwrap();
        assert_eq!(limited.host.log.take(), "L2 X2 C2 H2 D2");
        assert_eq!(limited.plugin.contexts(), 3);
    }
}

#[test]
fn a_request_has_a_body_of_so_many_bytes() {
    let _fork = no_fork();
    let pauses = ('B', "i32.const 1");
    for (pieces, status, said) in [
        (&[5, 5][..], None, "B2 B2"),
        (&[10], None, "B2"),
        (&[11], Some(413), ""),
        (&[5, 6], Some(413), "B2"),
    ] {
        let limited = Limited::new(&[pauses], |options| options.bounds.body = 10);
        let (stream, http) = limited.request().unwrap();
        limited.host.log.take();
        for piece in pieces {
            let body = vec![b'x'; *piece];
            let outcome = stream.on_request_body(Some(&body), false, &mut Vec::new());
            outcome.unwrap_or_else(|error| panic!("{pieces:?}: {error}"));
        }
        assert_eq!(http.local_response.get(), status, "{pieces:?}");
        let errors = limited.host.log.at(LogLevel::Error);
        assert_eq!(errors.len(), usize::from(status.is_some()));
        let log = limited.host.log.take();
        let text = " a body of more than 10 bytes (wasm_body_buffer_size)";
        assert_eq!(
            format!(" {log}").replace(text, ""),
            format!(" {said}").trim_end(),
            "{pieces:?}"
        );
        stream.finish();
        limited.whole_request().unwrap();
    }
}

#[test]
fn of_a_response_so_many_bytes_are_held_back() {
    let _fork = no_fork();
    let limited = Limited::new(&[('b', "i32.const 1")], |options| options.bounds.body = 10);
    let (stream, _) = limited.request().unwrap();
    let mut out = Vec::new();
    for piece in [b"hello", b"world"] {
        let outcome = stream.on_response_body(piece, false, &mut out).unwrap();
        assert_eq!(outcome, BodyOutcome::Hold);
    }
    limited.host.log.take();
    let error = stream.on_response_body(b"!", false, &mut out).unwrap_err();
    assert!(matches!(error, Error::BodyTooLarge { limit: 10 }));
    assert_eq!(out, b"helloworld!", "what was held back goes out");
    let outcome = stream.on_response_body(b"more", true, &mut out).unwrap();
    assert_eq!(outcome, BodyOutcome::Pass);
    let text = "a body of more than 10 bytes (wasm_body_buffer_size)";
    assert_eq!(
        limited.host.log.take(),
        text,
        "the plugin sees no more of it"
    );
    stream.finish();

    // What is not held back may be longer.
    let limited = Limited::new(&[], |options| options.bounds.body = 10);
    let (stream, _) = limited.request().unwrap();
    let outcome = stream.on_response_body(&[b'x'; 100], true, &mut out);
    assert_eq!(outcome.unwrap(), BodyOutcome::Pass);
}

#[test]
fn a_plugin_that_crashes_too_often_is_not_run() {
    let _fork = no_fork();
    let limited = Limited::new(&[TRAP], |options| options.crashes.crashes = Some(2));
    for _ in 0..3 {
        let error = limited.whole_request().unwrap_err();
        assert!(matches!(error, Error::Trap { .. }));
    }
    assert_eq!(limited.host.take_events().matches("restart").count(), 2);
    let said = limited.host.log.at(LogLevel::Error).len();
    for begins in [true, false, false] {
        let error = limited.whole_request().unwrap_err();
        assert!(matches!(error, Error::BackingOff));
        let events = limited.host.take_events();
        assert_eq!(events.contains("backs off"), begins, "{events}");
        assert!(events.ends_with("rejected"), "{events}");
        assert!(!events.contains("+1"), "no VM is started: {events}");
    }
    let errors = limited.host.log.at(LogLevel::Error);
    assert_eq!(
        errors[said..],
        ["crashed 3 times within 60s: it is not run for 1s"]
    );
    assert!(matches!(
        configure(&limited.plugin).map(|_| ()),
        Err(Error::BackingOff)
    ));
    limited.host.take_events();
    let host = Rc::clone(&limited.host);
    drop(limited);
    assert!(
        host.take_events().contains("goes on"),
        "one that is gone is not backed off"
    );
}

#[test]
fn a_crash_limit_that_is_off_forgives_all() {
    let _fork = no_fork();
    let limited = Limited::new(&[TRAP], |options| options.crashes.crashes = None);
    for _ in 0..50 {
        let error = limited.whole_request().unwrap_err();
        assert!(matches!(error, Error::Trap { .. }));
    }
    assert_eq!(limited.host.take_events().matches("restart").count(), 49);
}

#[test]
fn what_has_grown_is_renewed_when_nothing_needs_it() {
    let _fork = no_fork();
    let limited = Limited::new(&[GROW], |options| options.limits.renew = Some(1 << 20));
    let (waits, _) = limited.request().unwrap();
    limited.host.log.take();
    limited.whole_request().unwrap();
    assert_eq!(limited.host.log.take(), "C3 H3 D3 L3 X3", "one waits");
    waits.finish();
    let text = "is renewed, as its memory has grown to 4259840 bytes";
    assert_eq!(limited.host.log.take(), format!("D2 L2 X2 D1 X1 {text}"));
    drop(waits);
    let events = limited.host.take_events();
    assert!(events.ends_with("renewal -1:-4259840"), "{events}");

    let (stream, _) = limited.request().unwrap();
    assert_eq!(
        limited.host.log.take(),
        "C1 V1 F1 C2",
        "another has its place"
    );
    stream.finish();
    assert_eq!(limited.host.log.take(), "D2 L2 X2", "that has not grown");
    let events = limited.host.take_events();
    assert!(!events.contains("restart"), "that was no crash: {events}");
}

#[test]
fn a_call_that_is_out_keeps_the_vm_from_being_renewed() {
    let _fork = no_fork();
    let limited = Limited::new(&[GROW, ('L', "(call $http)")], |options| {
        options.limits.renew = Some(1 << 20);
    });
    limited.whole_request().unwrap();
    assert!(!limited.host.take_events().contains("renewal"));
    limited.host.answer(1, common::event::response(b"answer"));
    let log = limited.host.log.take();
    assert!(
        log.ends_with("D1 X1 is renewed, as its memory has grown to 4259840 bytes"),
        "{log}"
    );
}

#[test]
fn one_that_is_large_when_it_is_configured_is_not_renewed_for_that() {
    let _fork = no_fork();
    let large = ('F', "(drop (memory.grow (i32.const 64))) i32.const 1");
    let limited = Limited::new(&[large], |options| options.limits.renew = Some(1 << 20));
    for _ in 0..5 {
        limited.whole_request().unwrap();
    }
    assert!(!limited.host.take_events().contains("renewal"));
}

#[test]
fn a_process_has_so_many_vms() {
    let _fork = no_fork();
    let host = Rc::new(TestHost::default());
    let load = || {
        let mut options = Options::default();
        options.limits.instances = 2;
        load_on(&host, &plugin_text(&[]), options)
    };
    let first = load().unwrap();
    let second = load().unwrap();
    let error = load().map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there are 2 instances of plugins in this worker already (wasm_instance_limit)"
    );
    drop(first);
    load().unwrap();
    drop(second);
}

#[test]
fn a_plugin_writes_so_many_records_a_second() {
    let _fork = no_fork();
    // The host's time stands still.
    let limited = Limited::new(&[TRAP], |options| {
        options.bounds.records = 10;
        options.crashes.crashes = None;
    });
    let said = |level| limited.host.log.at(level).len();
    for _ in 0..20 {
        assert!(limited.whole_request().is_err());
    }
    // Three are from the configuration.
    assert_eq!(said(LogLevel::Info), 10 - 3, "in all VMs together");
    assert_eq!(said(LogLevel::Warn), 1);
    assert!(said(LogLevel::Error) >= 20, "traps are told of");
}
