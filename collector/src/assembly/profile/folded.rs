//! Folded stacks: a line for each path, as flame graph tools read them.

use std::io;

use super::{Measure, Profile};

impl Profile {
    /// Writes a line for each path: its calls, the outermost first, with `;` between them, a blank
    /// and the measure. Where a name has one of `;` and line breaks, which would end a call or the
    /// line, it gets `,` or a blank.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_folded(&self, measure: Measure, out: &mut impl io::Write) -> io::Result<()> {
        for (calls, weight) in self.paths() {
            let value = measure.of(weight);
            if value == 0 {
                continue;
            }
            for (at, call) in calls.iter().enumerate() {
                let call = call.replace(';', ",").replace(['\n', '\r'], " ");
                write!(out, "{}{call}", if at == 0 { "" } else { ";" })?;
            }
            writeln!(out, " {value}")?;
        }
        Ok(())
    }
}
