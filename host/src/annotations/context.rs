//! What a guest may ask: in which trace it is, and what came with the request.

use crate::recorder::Inner;

impl Inner {
    /// Writes the `traceparent` of the innermost open span, and gives its length.
    pub(crate) fn write_context(&mut self, memory: &mut [u8], buffer: u32, size: u32) -> u32 {
        match self.current_context() {
            Some(context) => self.write(memory, buffer, size, &context.to_string()),
            None => 0,
        }
    }

    /// Writes what came with the request, and gives its length.
    pub(crate) fn write_baggage(&mut self, memory: &mut [u8], buffer: u32, size: u32) -> u32 {
        let Some(trace) = &self.trace else { return 0 };
        let baggage = trace.baggage.clone();
        self.write(memory, buffer, size, &baggage)
    }

    /// Writes a text to a buffer, if there is room, and gives its length. A buffer that is not all
    /// in memory, which is counted, has none.
    fn write(&mut self, memory: &mut [u8], buffer: u32, size: u32, text: &str) -> u32 {
        let (at, room) = (buffer as usize, size as usize);
        let within = memory.get_mut(at..).and_then(|rest| rest.get_mut(..room));
        match within.map(|room| room.get_mut(..text.len())) {
            Some(Some(room)) => room.copy_from_slice(text.as_bytes()),
            Some(None) => {}
            None => self.lost.unreadable += 1,
        }
        text.len() as u32
    }
}
