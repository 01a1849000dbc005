//! The C header and the Lua declarations are what the source says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn sources() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("src/capi"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect();
    files.sort();
    files
}

fn generate() -> String {
    let builder = cbindgen::Builder::new().with_config(cbindgen::Config {
        language: cbindgen::Language::C,
        style: cbindgen::Style::Both,
        pragma_once: true,
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        cpp_compat: true,
        usize_is_size_t: true,
        documentation_style: cbindgen::DocumentationStyle::C99,
        header: Some(
            "// The C ABI of libresty_proxy_wasm.so. Generated from src/capi by `make header`."
                .to_owned(),
        ),
        ..cbindgen::Config::default()
    });
    // It finds the other files through this one; naming them too would declare everything twice.
    let builder = builder.with_src(root().join("src/capi/mod.rs"));
    let mut out = Vec::new();
    builder.generate().expect("src/capi parses").write(&mut out);
    String::from_utf8(out).unwrap()
}

/// The declarations of C source, each on one line with single blanks, without comments.
fn declarations(source: &str) -> BTreeSet<String> {
    let code: Vec<&str> = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .filter(|line| !line.trim_start().starts_with('#') && !line.contains("extern \"C\""))
        .collect();
    let code = code.join(" ").replace("/*", "").replace("*/", "");
    let mut found = BTreeSet::new();
    let mut depth = 0;
    let mut current = String::new();
    for c in code.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            _ => {}
        }
        current.push(c);
        if c == ';' && depth == 0 {
            let line = current.split_whitespace().collect::<Vec<_>>().join(" ");
            found.insert(line.replace("( ", "(").replace(" )", ")"));
            current.clear();
        }
    }
    found
}

#[test]
fn the_header_is_what_the_source_says() {
    let path: &Path = &root().join("include/proxy_wasm.h");
    let generated = generate();
    if std::env::var_os("UPDATE_HEADER").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &generated).unwrap();
    }
    assert_eq!(
        fs::read_to_string(path).unwrap_or_default(),
        generated,
        "include/proxy_wasm.h is out of date: run `make header`"
    );
}

#[test]
fn lua_declares_what_the_header_declares() {
    let lua = read("lib/resty/proxy-wasm/cdefs.lua");
    let cdef = lua
        .split("local DECLARATIONS = [[")
        .nth(1)
        .and_then(|rest| rest.split("]]").next())
        .expect("cdefs.lua has declarations");
    let header = declarations(&read("include/proxy_wasm.h"));
    let declared = declarations(cdef);
    let strange: Vec<_> = declared.difference(&header).collect();
    assert!(strange.is_empty(), "not in the header: {strange:#?}");
    let missing: Vec<_> = header.difference(&declared).collect();
    assert!(missing.is_empty(), "not in cdefs.lua: {missing:#?}");
}

#[test]
fn lua_knows_the_numbers_of_the_source() {
    let lua = read("lib/resty/proxy-wasm/cdefs.lua");
    let mut known = 0;
    for source in sources() {
        for line in fs::read_to_string(source).unwrap().lines() {
            let Some(rest) = line.strip_prefix("pub const ") else {
                continue;
            };
            let Some((name, value)) = rest.split_once(": c_int = ") else {
                continue;
            };
            let value = value.trim_end_matches(';');
            let name = match name.strip_prefix("FLAG_") {
                Some(flag @ ("SETS_BODY" | "ACTS_AT_END" | "READS_RESPONSE_HEADERS")) => {
                    flag.to_owned()
                }
                Some(flag) => format!("HAS_{flag}"),
                None => name.to_owned(),
            };
            assert!(
                lua.contains(&format!("    {name} = {value},")),
                "cdefs.lua lacks {name} = {value}"
            );
            known += 1;
        }
    }
    assert!(known >= 12, "only {known} numbers were found");
}
