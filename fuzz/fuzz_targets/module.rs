#![no_main]

#[path = "../../instrumenter/tests/hostile/bodies.rs"]
#[expect(dead_code, reason = "each target runs one of the bodies")]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bodies::module(bytes);
    bodies::without_hooks(bytes);
});
