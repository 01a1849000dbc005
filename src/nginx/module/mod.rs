//! The library as an nginx module, for those who load it with `load_module`: the directives.
//!
//! nginx takes a module only from its own build, and tells by a version and a signature. A constructor copies both
//! from nginx.

mod directive;
mod layout;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::{self, MaybeUninit};
use std::ptr;

use parking_lot::Mutex;

pub use directive::Directive;
use layout::{NgxCommand, NgxConf, NgxHttpModule, NgxModule, NgxStr, Shared};

use super::symbols::find;
use super::{body_filter, process};

const DIRECTIVES: usize = Directive::ALL.len();

/// Decides whether a directive can say this. If not, the text is the error that nginx reports.
pub type DirectiveHook = fn(Directive, &str) -> Result<(), String>;

/// What the directives have said, each at its own place.
type Said = [Option<String>; DIRECTIVES];

struct State {
    hook: Option<DirectiveHook>,
    accepted: Option<fn()>,
    /// nginx is reading a configuration. What it says must not count before all of it was read: should it be bad, the
    /// old one stays.
    reading: bool,
    /// The configuration that is being read where nginx does not know this module.
    read_beside: Option<usize>,
    read: Said,
    chosen: Said,
}

static STATE: Mutex<State> = Mutex::new(State {
    hook: None,
    accepted: None,
    reading: false,
    read_beside: None,
    read: [const { None }; DIRECTIVES],
    chosen: [const { None }; DIRECTIVES],
});

/// Sets what checks the arguments of directives. Without it any word is taken.
pub fn set_directive_hook(check: DirectiveHook) {
    STATE.lock().hook = Some(check);
}

/// Sets what is called when a configuration was good, before workers are forked that run with it.
pub fn set_accept_hook(accepted: fn()) {
    STATE.lock().accepted = Some(accepted);
}

/// Workers are about to be forked: nginx has read what there was to read.
pub fn about_to_fork() {
    body_filter::settle();
    let mut state = STATE.lock();
    if state.read_beside.is_some() && state.read_beside == process::cycle() {
        state.read_beside = None;
        // A configuration without the module has no directives.
        state.chosen = Said::default();
    }
}

/// Whether nginx is reading a configuration, or has refused the last one that it read. Never in a worker.
pub fn is_reading() -> bool {
    let state = STATE.lock();
    let reads = state.reading || state.read_beside.is_some();
    reads && !process::is_worker()
}

/// What a directive says in the configuration that is being read, or else in the one that nginx runs with.
pub fn configured(directive: Directive) -> Option<String> {
    let state = STATE.lock();
    if state.reading {
        state.read[directive as usize].clone()
    } else if state.read_beside.is_some() && !process::is_worker() {
        None
    } else {
        state.chosen[directive as usize].clone()
    }
}

const UNSET_INDEX: usize = usize::MAX;
const HTTP_MODULE: usize = 0x5054_5448;
const HTTP_MAIN_CONF: usize = 0x0200_0000;
const TAKE1: usize = 0x0000_0002;

const NAME: &CStr = c"ngx_http_proxy_wasm_module";

/// What the library exports, and nothing else does.
const EXPORT: &CStr = c"proxy_wasm_init";

static HTTP: Shared<NgxHttpModule> = Shared::new(NgxHttpModule {
    preconfiguration: None,
    postconfiguration: Some(complete),
    create_main_conf: Some(begin),
    others: [0; 5],
});

const fn command(directive: Directive) -> NgxCommand {
    let name = directive.name();
    NgxCommand {
        name: NgxStr {
            len: name.count_bytes(),
            data: name.as_ptr().cast(),
        },
        kind: HTTP_MAIN_CONF | TAKE1,
        set: Some(set),
        conf: 0,
        offset: directive as usize,
        post: ptr::null(),
    }
}

/// The directives, and one without a name behind them, as nginx wants it.
const fn commands() -> [NgxCommand; DIRECTIVES + 1] {
    const END: NgxCommand = NgxCommand {
        name: NgxStr {
            len: 0,
            data: ptr::null(),
        },
        kind: 0,
        set: None,
        conf: 0,
        offset: 0,
        post: ptr::null(),
    };
    let mut commands = [END; DIRECTIVES + 1];
    let mut i = 0;
    while i < DIRECTIVES {
        commands[i] = command(Directive::ALL[i]);
        i += 1;
    }
    commands
}

static COMMANDS: Shared<[NgxCommand; DIRECTIVES + 1]> = Shared::new(commands());

static MODULE: Shared<NgxModule> = Shared::new(NgxModule {
    ctx_index: UNSET_INDEX,
    index: UNSET_INDEX,
    name: ptr::null(),
    spare: [0; 2],
    version: 0,
    signature: ptr::null(),
    ctx: HTTP.get(),
    commands: COMMANDS.get().cast(),
    kind: HTTP_MODULE,
    init_master: None,
    init_module: Some(accept),
    init_process: Some(forget),
    init_thread: None,
    exit_thread: None,
    exit_process: None,
    exit_master: None,
    spare_hooks: [0; 8],
});

/// The modules in this library, as nginx looks for them.
#[used]
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "nginx's name")]
pub static ngx_modules: Shared<[*const NgxModule; 2]> = Shared::new([MODULE.get(), ptr::null()]);

/// Their names.
#[used]
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "nginx's name")]
pub static ngx_module_names: Shared<[*const c_char; 2]> = Shared::new([NAME.as_ptr(), ptr::null()]);

/// Before which others they want to be: none.
#[used]
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "nginx's name")]
pub static ngx_module_order: Shared<[*const c_char; 1]> = Shared::new([ptr::null()]);

// Miri would run it too, and knows of no libraries.
#[used]
#[cfg_attr(not(miri), unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = construct;

/// Runs when the library is mapped.
extern "C" fn construct() {
    stay_mapped();
    let Some(core) = find(c"ngx_core_module") else {
        return;
    };
    let core: *const NgxModule = core.cast();
    let module = MODULE.get();
    // SAFETY: nginx exports its core module, a `ngx_module_t`; ours is not known to anyone yet.
    unsafe {
        (*module).version = (*core).version;
        (*module).signature = (*core).signature;
    }
}

/// nginx unmaps a module with the configuration that loaded it. Threads and finalizers of this library live longer.
fn stay_mapped() {
    let Some(here) = mapped(construct as extern "C" fn() as *const c_void) else {
        return;
    };
    // SAFETY: the name lasts as long as the library.
    unsafe {
        libc::dlopen(
            here.dli_fname,
            libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE,
        );
    }
}

/// The file that is mapped at an address.
fn mapped(address: *const c_void) -> Option<libc::Dl_info> {
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `info` has room for the answer, which is there where it is not 0.
    unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init()) }
}

/// The file of another copy of this library, where nginx has loaded one before: that one is who Lua finds.
fn another_copy() -> Option<String> {
    let here = mapped(construct as extern "C" fn() as *const c_void)?;
    let first = mapped(find(EXPORT)?)?;
    // SAFETY: the name is terminated, and lasts as long as that library.
    let name = unsafe { CStr::from_ptr(first.dli_fname) };
    (first.dli_fbase != here.dli_fbase).then(|| name.to_string_lossy().into_owned())
}

/// A configuration begins (`create_main_conf`).
extern "C" fn begin(conf: *mut NgxConf) -> *mut c_void {
    if let Some(file) = another_copy() {
        report(
            conf,
            &format!("{file} is loaded already: another takes a restart of nginx"),
        );
        return ptr::null_mut();
    }
    let mut state = STATE.lock();
    state.reading = true;
    state.read = Said::default();
    // nginx wants something that is not null and never looks at it.
    HTTP.get().cast()
}

/// A configuration was read (`postconfiguration`), and Lua's `init_by_lua*` has run.
extern "C" fn complete(_: *mut c_void) -> isize {
    body_filter::install();
    0
}

/// nginx reads a configuration, and a Lua VM begins with it. Where nginx does not know this module, nothing else tells that it does.
/// False where the VM is that of a request (`lua_code_cache off`), which begins in the same way.
pub fn begin_configuration() -> bool {
    if process::is_worker() || body_filter::is_installed() {
        return false;
    }
    let mut state = STATE.lock();
    if !state.reading {
        state.read_beside = process::cycle();
        drop(state);
        body_filter::install();
        if let Some(cycle) = process::cycle() {
            body_filter::belongs_to(cycle);
        }
    }
    true
}

/// A configuration was good (`init_module`).
extern "C" fn accept(cycle: *mut c_void) -> isize {
    body_filter::belongs_to(cycle as usize);
    let accepted = {
        let mut state = STATE.lock();
        state.reading = false;
        state.read_beside = None;
        state.chosen = mem::take(&mut state.read);
        state.accepted
    };
    if let Some(accepted) = accepted {
        accepted();
    }
    0
}

/// A worker begins (`init_process`). It runs with what was good last, even if the master has met a bad configuration
/// since.
extern "C" fn forget(_: *mut c_void) -> isize {
    STATE.lock().reading = false;
    0
}

/// A directive is read.
unsafe extern "C" fn set(
    conf: *mut NgxConf,
    command: *const NgxCommand,
    _: *mut c_void,
) -> *const c_char {
    // SAFETY: nginx calls this with two words, the directive's name and its argument, as `TAKE1` asks for. They
    // outlive the call.
    let word = unsafe {
        let word = *(*(*conf).args).elts.add(1);
        std::slice::from_raw_parts(word.data, word.len)
    };
    let word = String::from_utf8_lossy(word);
    // SAFETY: the command is one of `COMMANDS`.
    let place = unsafe { (*command).offset };
    let directive = Directive::ALL[place];
    let mut state = STATE.lock();
    if state.read[place].is_some() {
        return c"is duplicate".as_ptr();
    }
    if let Some(check) = state.hook
        && let Err(text) = check(directive, &word)
    {
        report(conf, &text);
        return ptr::without_provenance(usize::MAX);
    }
    state.read[place] = Some(word.into_owned());
    ptr::null()
}

/// Has nginx say what is wrong, with the place in the configuration.
fn report(conf: *mut NgxConf, text: &str) {
    type LogError = unsafe extern "C" fn(usize, *mut NgxConf, c_int, *const c_char, ...);
    const EMERG: usize = 1;
    let (Some(log), Ok(text)) = (find(c"ngx_conf_log_error"), CString::new(text)) else {
        return;
    };
    // SAFETY: nginx exports a function of this type under this name; the format takes one NUL-terminated string.
    unsafe {
        let log = mem::transmute::<*mut c_void, LogError>(log);
        log(EMERG, conf, 0, c"%s".as_ptr(), text.as_ptr());
    }
}
