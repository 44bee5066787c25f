//! Functions of all ordinary shapes can carry `#[instrument]`, without a warning.
#![deny(warnings)]

use observe::instrument;

/// A function that is one expression.
#[instrument]
fn double(x: u32) -> u32 {
    x * 2
}

/// An attribute within the body.
#[instrument(name = "with an attribute")]
fn attribute() -> u32 {
    #![allow(unused_variables, reason = "to be carried over")]
    let unused = 1;
    7
}

/// A name that is a keyword, generics, early returns, and a reference in the result.
#[expect(clippy::manual_find, reason = "the early return is what is tried")]
#[instrument]
fn r#match<'a, T: PartialEq>(items: &'a [T], wanted: &T) -> Option<&'a T> {
    for item in items {
        if item == wanted {
            return Some(item);
        }
    }
    None
}

trait Shape {
    #[instrument]
    fn sides(&self) -> u32 {
        0
    }
}

struct Square;

impl Shape for Square {
    #[instrument]
    fn sides(&self) -> u32 {
        4
    }
}

struct Circle;

impl Shape for Circle {}

#[test]
fn functions_do_what_they_did() {
    assert_eq!((double(4), attribute()), (8, 7));
    assert_eq!((r#match(&[1, 2], &2), r#match(&[1, 2], &3)), (Some(&2), None));
    assert_eq!((Square.sides(), Circle.sides()), (4, 0));
}
