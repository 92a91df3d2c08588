//! From a core module to a component.

use std::fmt::Write as _;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::Result;

/// What a component says it is: WIT and the world of it that it is for.
#[derive(Debug, Clone)]
pub struct Contract {
    /// The text of a WIT package.
    pub wit: String,
    /// The world's name.
    pub world: String,
}

impl Contract {
    /// A world of the contract in `wit/`.
    pub fn ours(world: &str) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let mut wit = String::new();
        // The file with the package's name comes first.
        for name in ["types", "host", "describe", "service", "access", "tunnel", "documents", "worlds"] {
            let file = folder.join(name).with_extension("wit");
            wit.push_str(&std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?);
        }
        Ok(Self { wit, world: world.to_owned() })
    }

    /// The same in another version.
    #[must_use]
    pub fn in_version(mut self, version: &str) -> Self {
        self.wit = self.wit.replacen("@0.1.0;", &format!("@{version};"), 1);
        self
    }

    /// Another world, added to the package.
    #[must_use]
    pub fn with_world(mut self, name: &str, body: &str) -> Self {
        let _ = writeln!(self.wit, "world {name} {{ {body} }}");
        name.clone_into(&mut self.world);
        self
    }

    /// Another package, which worlds may import from.
    #[must_use]
    pub fn with_package(mut self, package: &str) -> Self {
        self.wit.push_str(package);
        self
    }
}

/// Makes a component of a module in text form.
pub fn component(module: &str, contract: &Contract) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(module)?;
    let mut resolve = Resolve::default();
    let package = resolve.push_source("contract.wit", &contract.wit)?;
    let world = resolve.select_world(&[package], Some(&contract.world))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    Ok(ComponentEncoder::default().module(&module)?.validate(true).encode()?)
}
