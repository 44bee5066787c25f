//! Rewriting, fifth part: what custom sections have to know of a change to follow it, be it
//! that hooks come or that they go.

use crate::Error;
use crate::body::{Segments, renumber_label};
use crate::layout::Layout;
use crate::parse::{Function, Module};
use crate::plan::{Abi, PlannedFunction};

/// A change of a module.
pub(crate) trait Change {
    /// The module before it.
    fn module(&self) -> &Module<'_>;

    /// The new index of a function, if it stays.
    fn function(&self, index: u32) -> Option<u32>;

    /// The names of functions that were added, by their new index.
    fn added_names(&self) -> Vec<(u32, String)>;

    /// Names for functions that the name section has none for, by their old index, if each
    /// has to have one there.
    fn names_wanted(&self) -> Option<Vec<(u32, String)>> {
        None
    }

    /// The new indices of the labels of a function, by its old index.
    fn labels(&self, function: u32) -> Box<dyn Fn(u32) -> Option<u32> + '_>;

    /// Where the bytes of a function's body went, by its old index; `None` if the module
    /// defines no such function, or it is gone. There is at least one segment.
    ///
    /// # Errors
    ///
    /// Those of writing the body.
    fn segments(&self, function: u32) -> Result<Option<Segments>, Error>;
}

impl Layout<'_, '_> {
    /// A function and what is planned for it, by its old index.
    fn function_at(&self, index: u32) -> Option<(&Function<'_>, &PlannedFunction)> {
        let at = index.checked_sub(self.renumber.first_defined())? as usize;
        Some((self.module.functions.get(at)?, self.plan.functions.get(at)?))
    }
}

impl Change for Layout<'_, '_> {
    fn module(&self) -> &Module<'_> {
        self.module
    }

    fn function(&self, index: u32) -> Option<u32> {
        // An index that no function can have names nothing.
        self.renumber.own(index).ok()
    }

    fn added_names(&self) -> Vec<(u32, String)> {
        let hooks = self.imports.iter().map(|hook| format!("observe:{}", hook.name));
        let added = (self.first_added()..).zip(&self.added);
        let added = added.filter_map(|(index, added)| Some((index, added.name.clone()?)));
        (self.renumber.first_defined()..).zip(hooks).chain(added).collect()
    }

    fn names_wanted(&self) -> Option<Vec<(u32, String)>> {
        // Hosts of observe-sdk know functions by nothing else.
        if self.plan.abi != Abi::Dylibso {
            return None;
        }
        let names = &self.module.names;
        let has_none = |index| names.binary_search_by_key(&index, |&(named, _)| named).is_err();
        let nameless = self.plan.hooked().filter(|function| has_none(function.index.0));
        let wanted = nameless.map(|function| {
            let raw = self.module.raw_name(function.index);
            (function.index.0, raw.unwrap_or(&function.name).to_owned())
        });
        Some(wanted.collect())
    }

    fn labels(&self, function: u32) -> Box<dyn Fn(u32) -> Option<u32> + '_> {
        match self.function_at(function) {
            Some((function, planned)) => {
                let sites = &self.module.sites[function.body.sites.clone()];
                // What cannot be had is said when the body is written.
                match self.hooked(function, planned) {
                    Ok(Some(hooked)) => Box::new(move |label| {
                        renumber_label(label, self.hooks.cells, &hooked, sites)
                    }),
                    _ => Box::new(Some),
                }
            }
            None => Box::new(Some),
        }
    }

    fn segments(&self, function: u32) -> Result<Option<Segments>, Error> {
        let Some((function, planned)) = self.function_at(function) else { return Ok(None) };
        let sites = &self.module.sites[function.body.sites.clone()];
        let hooked = self.hooked(function, planned)?;
        let mut segments = Segments::new();
        let noted = Some(&mut segments);
        self.body_writer(Some(planned)).write(
            &mut Vec::new(),
            &function.body,
            sites,
            hooked.as_ref(),
            noted,
        )?;
        Ok(Some(segments))
    }
}
