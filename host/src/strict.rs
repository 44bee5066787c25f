//! Guests that are to be told at once what they say wrongly.

use crate::lost::Lost;
use crate::recorder::Inner;

/// What a guest calls: the import module and the name.
#[derive(Clone, Copy)]
pub(crate) struct Import(pub(crate) &'static str, pub(crate) &'static str);

/// What a guest said that could not be recorded as it was, and trapped for, under
/// [`Builder::strict`](crate::Builder::strict).
///
/// It is the error of the guest's call, where `downcast_ref` finds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` of `{module}` was called wrongly: {lost}; the host is strict about annotations")]
#[non_exhaustive]
pub struct Misuse {
    /// The import module.
    pub module: &'static str,
    /// The name of the import.
    pub name: &'static str,
    /// What this call lost.
    pub lost: Box<Lost>,
}

impl Inner {
    /// Does what a guest says by an import.
    ///
    /// # Errors
    ///
    /// [`Misuse`], where something was lost by that and the observer is strict.
    #[inline]
    pub(crate) fn strictly<R>(
        &mut self,
        Import(module, name): Import,
        work: impl FnOnce(&mut Inner) -> R,
    ) -> wasmtime::Result<R> {
        if !self.shared.strict {
            return Ok(work(self));
        }
        let before = self.lost;
        let done = work(self);
        match self.lost.since(&before) {
            lost if lost == Lost::default() => Ok(done),
            lost => Err(Misuse { module, name, lost: Box::new(lost) }.into()),
        }
    }
}
