//! How much of a module a plan covers.

use std::collections::HashMap;

use crate::parse::Module;
use crate::plan::{Decision, Plan};

/// How much of a module, or of a part of it, gets hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How many functions there are.
    pub functions: usize,
    /// How many of them get hooks.
    pub hooked: usize,
    /// How many instructions they have.
    pub instructions: u64,
    /// How many of these are in functions that get hooks.
    pub hooked_instructions: u64,
}

/// How much of what belongs together gets hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerCoverage {
    /// The crate, namespace, package or file, as [`Module::owner`] tells it; `None` for
    /// functions that belong to none.
    pub owner: Option<String>,
    /// How much of it gets hooks.
    pub coverage: Coverage,
}

impl Coverage {
    /// The part of the instructions that is in functions that get hooks, from 0 to 1; 1
    /// where there are none.
    pub fn share(&self) -> f64 {
        match self.instructions {
            0 => 1.0,
            all => self.hooked_instructions as f64 / all as f64,
        }
    }

    fn add(&mut self, instructions: u32, hooked: bool) {
        self.functions += 1;
        self.hooked += usize::from(hooked);
        self.instructions += u64::from(instructions);
        self.hooked_instructions += if hooked { u64::from(instructions) } else { 0 };
    }
}

impl Plan {
    /// How much of the module gets hooks.
    pub fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::default();
        for function in &self.functions {
            let hooked = matches!(function.decision, Decision::Hook(..));
            coverage.add(function.instructions, hooked);
        }
        coverage
    }

    /// How much of each crate, namespace, package or file of the module that the plan was
    /// made for gets hooks, the largest first.
    pub fn coverage_by_owner(&self, module: &Module<'_>) -> Vec<OwnerCoverage> {
        let mut owners: HashMap<_, Coverage> = HashMap::new();
        for function in &self.functions {
            let hooked = matches!(function.decision, Decision::Hook(..));
            let coverage = owners.entry(module.owner(&function.name)).or_default();
            coverage.add(function.instructions, hooked);
        }
        let owners = owners.into_iter().map(|(owner, coverage)| OwnerCoverage { owner, coverage });
        let mut owners: Vec<_> = owners.collect();
        owners.sort_by(|a, b| {
            let size = |part: &OwnerCoverage| part.coverage.instructions;
            size(b).cmp(&size(a)).then_with(|| a.owner.cmp(&b.owner))
        });
        owners
    }
}
