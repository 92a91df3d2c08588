//! A guest, function by function.

mod body;
mod function;

use std::fmt::Write as _;

use self::body::{Body, wrapped_in_env};
pub use self::function::{Answer, Function, Step};
use super::contract::{Contract, component};
use super::image::{Command, Description, Image, List, Pattern};
use crate::Result;

/// Where what `instantiate`, `realloc` and so on do not need begins.
const IMAGE: u32 = 1024;
const PAGE: u32 = 65536;

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Service,
    Access,
    Filter,
}

/// A plugin in the making.
#[derive(Debug, Clone)]
pub struct Guest {
    /// What it says of itself.
    pub description: Description,
    /// What it says of itself when it is asked again.
    pub later: Option<Description>,
    /// What `describe` does first.
    pub describe: Vec<Step>,
    /// `start`
    pub start: Function,
    /// `stop`
    pub stop: Function,
    /// `status`
    pub status: Function,
    /// `wrap`
    pub wrap: Function,
    /// `connect`, for an access plugin that exports it.
    pub connect: Option<Function>,
    /// `configure`, for a document filter.
    pub configure: Function,
    /// `filter`, for a document filter. The good answer is to keep the document.
    pub filter: Function,
    /// What it does when it is instantiated.
    pub instantiate: Vec<Step>,
    /// What it does when the host asks it for memory.
    pub realloc: Vec<Step>,
    /// What memory it then gives; the right one where it is `None`.
    pub reallocated: Option<u32>,
    /// What it does when the host has read a result.
    pub post_return: Vec<Step>,
    /// More functions, as text.
    pub functions: String,
    /// Memory that it has beside what it needs, in pages of 64 KiB.
    pub pages: u32,
    /// What its imports and exports are those of.
    kind: Kind,
    /// Version of the contract that its names hold.
    version: String,
}

impl Guest {
    /// A service plugin that behaves. It may run `true` and `echo` with the setting `word`, and runs nothing.
    pub fn service(name: &str) -> Self {
        let mut guest = Self::any(name, Kind::Service);
        guest.description.settings = vec![super::Setting::new("word")].into();
        guest.description.commands =
            vec![Pattern::new(&["true"]), Pattern::new(&["echo", "fixed", "[{word}]"])].into();
        guest
    }

    /// An access plugin that behaves: it gives `env -- COMMAND`… as the command that came, which its pattern allows.
    pub fn access(name: &str) -> Self {
        let mut guest = Self::any(name, Kind::Access);
        guest.description.commands = vec![Pattern::new(&["env", "{command...}"])].into();
        guest
    }

    /// The same with a tunnel: what it connects to is `cat`, which says what it is told.
    pub fn access_with_tunnel(name: &str) -> Self {
        let mut guest = Self::access(name);
        guest.description.commands =
            vec![Pattern::new(&["env", "{command...}"]), Pattern::new(&["cat"])].into();
        let cat = Answer::Command(Command::new(&["cat"]));
        guest.connect = Some(Function { steps: Vec::new(), answer: cat });
        guest
    }

    /// A document filter that keeps every document.
    pub fn filter(name: &str) -> Self {
        let mut guest = Self::any(name, Kind::Filter);
        guest.description.settings = vec![super::Setting::new("word")].into();
        guest
    }

    fn any(name: &str, kind: Kind) -> Self {
        Self {
            description: Description {
                name: name.into(),
                version: "9.8.7".into(),
                summary: "made to test with".into(),
                settings: List::Of(Vec::new()),
                commands: List::Of(Vec::new()),
            },
            later: None,
            describe: Vec::new(),
            start: Function::default(),
            stop: Function::default(),
            status: Function::default(),
            wrap: Function::default(),
            connect: None,
            configure: Function::default(),
            filter: Function::default(),
            instantiate: Vec::new(),
            realloc: Vec::new(),
            reallocated: None,
            post_return: Vec::new(),
            functions: String::new(),
            pages: 1,
            kind,
            version: "0.1.0".into(),
        }
    }

    /// The same for another version of the contract.
    #[must_use]
    pub fn in_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// The component.
    pub fn build(&self) -> Result<Vec<u8>> {
        let world = match (self.kind, &self.connect) {
            (Kind::Service, _) => "service-control",
            (Kind::Access, None) => "node-access",
            (Kind::Access, Some(_)) => "node-access-with-tunnel",
            (Kind::Filter, _) => "document-filter",
        };
        self.build_for(&Contract::ours(world)?.in_version(&self.version), "")
    }

    /// The component for another world, with more fields in its module.
    pub fn build_for(&self, contract: &Contract, more: &str) -> Result<Vec<u8>> {
        component(&self.module(more), contract)
    }

    /// The core module. Imports have to come first in it, so `more` does.
    pub fn module(&self, more: &str) -> String {
        let package = |interface: &str| format!("couchcopy:plugin/{interface}@{}", self.version);
        let mut body = Body { image: Image::new(IMAGE), locals: 0 };
        let mut functions = self.functions.clone();

        let first = body.image.description(&self.description);
        let later = self.later.as_ref().map_or(first, |later| body.image.description(later));
        let describe = body.steps(&self.describe);
        let _ = write!(
            functions,
            r#"(func $describe (export "{}#describe") (result i32) (local $i i32)
                 {describe}
                 (if (global.get $described) (then (return (i32.const {later}))))
                 (global.set $described (i32.const 1))
                 (i32.const {first}))"#,
            package("describe"),
        );
        let node = "(param i32 i32 i32 i32 i32 i32 i32 i32)";
        let mut exports = vec![(package("describe"), "describe")];
        if self.kind == Kind::Filter {
            for (name, function) in [("configure", &self.configure), ("filter", &self.filter)] {
                let (steps, answer) = body.function(function);
                let _ = write!(
                    functions,
                    r#"(func ${name} (export "{}#{name}") (param i32 i32 i32 i32) (result i32) (local $i i32)
                         {steps} {answer})"#,
                    package("documents"),
                );
                exports.push((package("documents"), name));
            }
        } else if self.kind == Kind::Service {
            for (name, function) in [("start", &self.start), ("stop", &self.stop), ("status", &self.status)] {
                let (steps, answer) = body.function(function);
                let _ = write!(
                    functions,
                    r#"(func ${name} (export "{}#{name}") {node} (result i32) (local $i i32) {steps} {answer})"#,
                    package("service"),
                );
                exports.push((package("service"), name));
            }
        } else {
            let (steps, answer) = body.function(&self.wrap);
            let _ = write!(
                functions,
                r#"(func $wrap (export "{}#wrap") {node}
                     (param $program i32) (param $program-length i32) (param $arguments i32) (param $count i32) (param i32)
                     (result i32) (local $i i32)
                     {steps} {})"#,
                package("access"),
                if matches!(self.wrap.answer, Answer::Good) { wrapped_in_env(&mut body) } else { answer },
            );
            exports.push((package("access"), "wrap"));
            if let Some(connect) = &self.connect {
                let (steps, answer) = body.function(connect);
                let _ = write!(
                    functions,
                    r#"(func $connect (export "{}#connect") {node} (param i32 i32 i32) (result i32) (local $i i32)
                         {steps} {answer})"#,
                    package("tunnel"),
                );
                exports.push((package("tunnel"), "connect"));
            }
        }
        for (interface, name) in exports.iter().filter(|_| !self.post_return.is_empty()) {
            let steps = body.steps(&self.post_return);
            let _ = write!(
                functions,
                r#"(func (export "cabi_post_{interface}#{name}") (param i32) (local $i i32) {steps})"#,
            );
        }
        let realloc = body.steps(&self.realloc);
        let given = self.reallocated.map_or_else(String::new, |at| format!("(return (i32.const {at}))"));
        let instantiate = body.steps(&self.instantiate);
        let imports = if self.kind == Kind::Service {
            let host = package("host");
            format!(
                r#"(import "{host}" "run" (func $run (param i32 i32 i32 i32 i32)))
                   (import "{host}" "sleep" (func $sleep (param i32)))
                   (import "{host}" "log" (func $log (param i32 i32)))"#,
            )
        } else {
            String::new()
        };
        let heap = body.image.end().next_multiple_of(16);
        let data: String = body.image.bytes().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        });
        format!(
            r#"(module
                 {more} {imports}
                 (memory (export "memory") {pages})
                 (global $described (mut i32) (i32.const 0))
                 (global $heap (mut i32) (i32.const {heap}))
                 (func $recurse (param i32) (result i32)
                   (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
                 (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $i i32)
                   {realloc} {given}
                   (global.set $heap (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
                   (local.set $i (global.get $heap))
                   (global.set $heap (i32.add (global.get $heap) (local.get 3)))
                   (block $enough (loop $more
                     (br_if $enough
                       (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const {PAGE}))))
                     (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
                     (br $more)))
                   (local.get $i))
                 {functions}
                 (func $instantiate (local $i i32) {instantiate})
                 {start}
                 (data (i32.const {base}) "{data}"))"#,
            pages = heap / PAGE + 1 + self.pages,
            base = body.image.base(),
            start = if self.instantiate.is_empty() { "" } else { "(start $instantiate)" },
        )
    }
}
