//! A loaded plugin.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::{access, filter, service, tunnel};
use crate::builtin;
use crate::cache::Cache;
use crate::call::{CallState, Limits, within};
use crate::contract::Contract;
use crate::description::{Description, Raw, Setting};
use crate::engine::TickingEngine;
use crate::error::{LoadFailure, PluginError, Result};
use crate::find::{Found, Origin};
use crate::kind::Kind;
use crate::reference::PluginReference;

/// A component, ready to be instantiated.
pub(crate) enum Ready {
    Service(service::ServiceControlPre<CallState>),
    Access {
        access: access::NodeAccessPre<CallState>,
        /// The functions of `access` and those of `tunnel`, if it exports `tunnel`.
        tunnel: Option<tunnel::NodeAccessWithTunnelPre<CallState>>,
    },
    Filter(filter::DocumentFilterPre<CallState>),
}

/// A loaded plugin: it has been compiled and has described itself. Nothing has been granted to it yet.
pub struct Plugin {
    pub(crate) engine: Arc<TickingEngine>,
    pub(crate) ready: Ready,
    pub(crate) limits: Arc<Limits>,
    /// What it was made for.
    pub contract: Contract,
    /// What it says of itself.
    pub description: Description,
    /// Where it came from.
    pub origin: Origin,
    /// BLAKE3 of its file.
    pub hash: blake3::Hash,
    /// Size of its file in bytes.
    pub size: u64,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("description", &self.description)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The values of a plugin's settings for one node.
pub type Settings = Vec<(String, String)>;

/// How long compiling a plugin may take; one made from Python takes some 8 s on two processors.
const COMPILING: Duration = Duration::from_secs(120);

/// The first bytes of every WebAssembly file, and what follows in a core module.
const MAGIC: &[u8] = b"\0asm";
const CORE: &[u8] = b"\x01\0\0\0";

impl Plugin {
    /// Compiles a plugin, or takes it from the cache, and has it describe itself.
    pub(crate) async fn load(
        engine: &Arc<TickingEngine>,
        cache: &Cache,
        limits: &Arc<Limits>,
        found: Found,
    ) -> Result<Self> {
        let shown = match &found.origin {
            Origin::BuiltIn => "a built-in plugin".to_owned(),
            Origin::File(path) => crate::text::printable(&path.display().to_string()),
        };
        let failed = |failure| PluginError::Load { plugin: shown.clone(), failure };
        let (component, hash) = component(engine, cache, &found, &failed)?;
        let contract = Contract::of(&component, &engine.engine).map_err(failed)?;
        let ready = prepare(engine, &component, &contract).map_err(|e| failed(other_functions(&e)))?;
        let mut store = CallState::store(&engine.engine, limits, None);
        let raw = within(limits.pure_deadline, &mut store, async |store| describe(&ready, store).await)
            .await
            .map_err(|failure| failed(LoadFailure::Describe(failure)))?
            .map_err(failed)?;
        let description = Description::check(raw, contract.wraps(), contract.kind)
            .map_err(|problem| failed(LoadFailure::Description(problem)))?;
        // Somebody who sees a built-in plugin's name is to get the built-in plugin.
        if found.origin != Origin::BuiltIn && builtin::find(contract.kind, &description.name).is_some() {
            return Err(failed(LoadFailure::Description(format!(
                "it calls itself {}, which is the name of a built-in plugin",
                description.name
            ))));
        }
        Ok(Self {
            engine: Arc::clone(engine),
            ready,
            limits: Arc::clone(limits),
            contract,
            description,
            origin: found.origin,
            hash,
            size: found.size,
        })
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.contract.kind
    }

    /// The values of its settings, or what is wrong with the user's.
    pub fn settings(&self, reference: &PluginReference) -> Result<Settings> {
        self.description.settings_of(reference).map_err(|problem| PluginError::Settings {
            plugin: self.description.name.clone(),
            version: self.description.version.clone(),
            problem,
        })
    }

    /// Its patterns allow this command?
    pub(crate) fn allows(&self, command: &[&str], values: &patterns::Values<'_>) -> bool {
        self.description.commands.iter().any(|allowed| allowed.pattern.allows(command, values))
    }
}

/// The compiled component, and the hash of the plugin's file. A file is read completely only if it must be compiled.
fn component(
    engine: &Arc<TickingEngine>,
    cache: &Cache,
    found: &Found,
    failed: &dyn Fn(LoadFailure) -> PluginError,
) -> Result<(Component, blake3::Hash)> {
    let hash = found.hash()?;
    if let Some(component) = cache.kept(&engine.engine, &hash) {
        return Ok((component, hash));
    }
    let bytes = found.bytes()?;
    match bytes.strip_prefix(MAGIC) {
        None => return Err(failed(LoadFailure::NotAComponent("it does not begin like WebAssembly".into()))),
        Some(rest) if rest.starts_with(CORE) => return Err(failed(LoadFailure::CoreModule)),
        Some(_) => {}
    }
    // Of what was read, whatever the file has become since it was hashed.
    let hash = blake3::hash(&bytes);
    let component = compiled(engine, cache, bytes.into_owned(), hash)
        .ok_or_else(|| failed(LoadFailure::SlowToCompile(COMPILING)))?
        .map_err(|e| failed(LoadFailure::NotAComponent(crate::text::printable(&format!("{e:#}")))))?;
    Ok((component, hash))
}

/// Compiles a component; `None` if that takes too long. A plugin of a few megabytes can be made so that it does.
fn compiled(
    engine: &Arc<TickingEngine>,
    cache: &Cache,
    bytes: Vec<u8>,
    hash: blake3::Hash,
) -> Option<wasmtime::Result<Component>> {
    let (sender, done) = std::sync::mpsc::sync_channel(1);
    let (engine, cache) = (engine.engine.clone(), cache.clone());
    // Nothing can end it, but nobody has to wait for it either.
    let compiling = move || sender.send(cache.compile(&engine, &bytes, &hash));
    match std::thread::Builder::new().name("plugin compiler".into()).stack_size(8 << 20).spawn(compiling) {
        Ok(_) => done.recv_timeout(COMPILING).ok(),
        Err(e) => Some(Err(e.into())),
    }
}

fn prepare(engine: &TickingEngine, component: &Component, contract: &Contract) -> wasmtime::Result<Ready> {
    let mut linker: Linker<CallState> = Linker::new(&engine.engine);
    Ok(match contract.kind {
        Kind::Service => {
            service::ServiceControl::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
            Ready::Service(service::ServiceControlPre::new(linker.instantiate_pre(component)?)?)
        }
        Kind::Access => {
            access::NodeAccess::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
            let pre = linker.instantiate_pre(component)?;
            let tunnel =
                contract.tunnel.then(|| tunnel::NodeAccessWithTunnelPre::new(pre.clone())).transpose()?;
            Ready::Access { access: access::NodeAccessPre::new(pre)?, tunnel }
        }
        Kind::Filter => {
            filter::DocumentFilter::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
            Ready::Filter(filter::DocumentFilterPre::new(linker.instantiate_pre(component)?)?)
        }
    })
}

fn other_functions(error: &wasmtime::Error) -> LoadFailure {
    LoadFailure::OtherFunctions(crate::text::printable(&format!("{error:#}")))
}

macro_rules! raw {
    ($description:expr) => {{
        let description = $description;
        Raw {
            name: description.name,
            version: description.version,
            summary: description.summary,
            settings: description
                .settings
                .into_iter()
                .map(|setting| Setting {
                    name: setting.name,
                    meaning: setting.meaning,
                    default: setting.default,
                    required: setting.required,
                })
                .collect(),
            commands: description
                .commands
                .into_iter()
                .map(|command| (command.words, command.purpose))
                .collect(),
        }
    }};
}

/// Has a plugin describe itself. Which functions it exports, with which types, is seen only here: of an instance.
async fn describe(
    ready: &Ready,
    store: &mut wasmtime::Store<CallState>,
) -> wasmtime::Result<Result<Raw, LoadFailure>> {
    macro_rules! of_the_contract {
        ($functions:expr) => {
            match $functions {
                Ok(functions) => functions,
                Err(error) => return Ok(Err(other_functions(&error))),
            }
        };
    }
    Ok(Ok(match ready {
        Ready::Service(pre) => {
            let instance = pre.instance_pre().instantiate_async(&mut *store).await?;
            let plugin = of_the_contract!(service::ServiceControl::new(&mut *store, &instance));
            raw!(plugin.couchcopy_plugin_describe().call_describe(store).await?)
        }
        Ready::Access { access, tunnel } => {
            let instance = access.instance_pre().instantiate_async(&mut *store).await?;
            let plugin = of_the_contract!(access::NodeAccess::new(&mut *store, &instance));
            if tunnel.is_some() {
                of_the_contract!(tunnel::NodeAccessWithTunnel::new(&mut *store, &instance));
            }
            raw!(plugin.couchcopy_plugin_describe().call_describe(store).await?)
        }
        Ready::Filter(pre) => {
            let instance = pre.instance_pre().instantiate_async(&mut *store).await?;
            let plugin = of_the_contract!(filter::DocumentFilter::new(&mut *store, &instance));
            raw!(plugin.couchcopy_plugin_describe().call_describe(store).await?)
        }
    }))
}
