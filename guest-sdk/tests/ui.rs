//! What the compiler says of mistakes: each message names what to do. `TRYBUILD=overwrite` writes
//! the messages anew.

#[test]
fn each_message_names_the_fix() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
