//! The guests that other tests run are components indeed: what is hostile about them is what they do.

use std::path::Path;

use couchcopy_tests::Result;
use couchcopy_tests::hostile::{Guest, Witness, access_zoo, cuts, flips, service_zoo};

#[test]
fn guests_become_components() -> Result<()> {
    for component in [Guest::service("good").build()?, Guest::access("good").build()?] {
        wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&component)?;
    }
    Ok(())
}

#[test]
fn the_zoo_is_built() -> Result<()> {
    let file = Path::new("/tmp/witness");
    let mut names = std::collections::BTreeSet::new();
    for hostile in [service_zoo(Witness(file))?, access_zoo(Witness(file))?].concat() {
        assert!(names.insert(hostile.name), "{} is there twice", hostile.name);
    }
    assert!(names.len() > 100, "{}", names.len());
    Ok(())
}

#[test]
fn damage_is_the_same_each_time() -> Result<()> {
    let good = Guest::service("good").build()?;
    assert_eq!(flips(&good, 5), flips(&good, 5));
    assert!(flips(&good, 200).iter().all(|bytes| *bytes != good && bytes.len() == good.len()));
    assert_eq!(cuts(&good, 10).len(), 10);
    assert!(cuts(&good, 10).iter().all(|bytes| bytes.len() < good.len()));
    Ok(())
}
