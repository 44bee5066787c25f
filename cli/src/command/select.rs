//! The options that choose functions, shared by `run` and `instrument`.

use anyhow::Result;
use observe_instrumenter::{DEFAULT_MIN_INSTRUCTIONS, Omission, Plan, Selection};

#[derive(clap::Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct SelectOpts {
    /// Hook the functions whose name matches this regular expression, and no others
    #[arg(long, value_name = "REGEX")]
    include: Vec<String>,

    /// Leave out the functions whose name matches this regular expression
    #[arg(long, value_name = "REGEX")]
    exclude: Vec<String>,

    /// Hook functions of at least so many instructions; those with a loop, those that
    /// call the host and exported ones are hooked in any case
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MIN_INSTRUCTIONS)]
    min_instructions: u32,

    /// Hook exported functions and no others
    #[arg(long, conflicts_with_all = ["include", "min_instructions", "all"])]
    exports: bool,

    /// Hook every function
    #[arg(long, conflicts_with_all = ["include", "min_instructions"])]
    all: bool,
}

impl SelectOpts {
    /// Whether the user chose anything.
    pub(crate) fn is_given(&self) -> bool {
        let Self { include, exclude, min_instructions, exports, all } = self;
        *all || *exports
            || !include.is_empty()
            || !exclude.is_empty()
            || *min_instructions != DEFAULT_MIN_INSTRUCTIONS
    }

    pub(crate) fn selection(&self) -> Result<Selection> {
        let mut selection = match (self.all, self.exports) {
            (true, _) => Selection::all(),
            (_, true) => Selection::exports(),
            _ => Selection::default().min_instructions(self.min_instructions),
        };
        for pattern in &self.include {
            selection = selection.include(pattern)?;
        }
        for pattern in &self.exclude {
            selection = selection.exclude(pattern)?;
        }
        Ok(selection)
    }
}

/// How much of a module a plan hooks, and why not all of it.
pub(crate) fn coverage(plan: &Plan, selection: &Selection) -> String {
    let hooked = plan.hooked().count();
    let plural = if plan.functions.len() == 1 { "" } else { "s" };
    let mut text = format!("{hooked} of {} function{plural} hooked", plan.functions.len());
    if hooked == 0 {
        text += ", so there is nothing to see";
    }
    let threshold = selection.threshold();
    let mut separator = "; left out: ";
    for (omission, why) in [
        (
            Omission::Small,
            format!(
                "under {threshold} instructions with no loop, host call or export (--all hooks them)"
            ),
        ),
        (Omission::Excluded, "excluded".to_owned()),
        (Omission::NotExported, "not exported".to_owned()),
        (Omission::NotIncluded, "not included".to_owned()),
        (Omission::Shared, "shared, which cannot call hooks".to_owned()),
        (Omission::TooLarge, "too large for hooks".to_owned()),
    ] {
        let count = plan.left_out(omission);
        if count > 0 {
            text += &format!("{separator}{count} {why}");
            separator = ", ";
        }
    }
    text
}
