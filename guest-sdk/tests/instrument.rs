//! Functions of all ordinary shapes can carry `#[instrument]`, without a warning, and do what they
//! did.
#![deny(warnings)]

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

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
    #[instrument(skip(self), ret)]
    fn sides(&self) -> u32 {
        0
    }

    fn paint(&mut self, color: &str) -> impl Future<Output = usize>;
}

struct Square;

impl Shape for Square {
    #[instrument(level = "debug", fields(corners = 4))]
    fn sides(&self) -> u32 {
        4
    }

    #[instrument(kind = "client", ret(Display))]
    async fn paint(&mut self, color: &str) -> usize {
        color.len()
    }
}

struct Circle;

impl Shape for Circle {
    #[instrument]
    async fn paint(&mut self, color: &str) -> usize {
        if color.is_empty() {
            return 0;
        }
        color.len() + 1
    }
}

#[test]
fn functions_do_what_they_did() {
    assert_eq!((double(4), attribute()), (8, 7));
    assert_eq!((r#match(&[1, 2], &2), r#match(&[1, 2], &3)), (Some(&2), None));
    assert_eq!((Square.sides(), Circle.sides()), (4, 0));
}

#[derive(Debug, PartialEq)]
struct Empty;

impl Display for Empty {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("empty")
    }
}

/// Gives away what it was lent, after an early return by `?`.
#[instrument(err, ret(Debug), fields(len = items.len(), "first item" = ?items.first()))]
fn first(items: &mut [u32]) -> Result<&mut u32, Empty> {
    let first = items.first_mut().ok_or(Empty)?;
    *first += 1;
    Ok(first)
}

/// Takes what cannot be copied, and returns what cannot be named.
#[instrument(err(Debug), skip_all, fields(?words))]
fn lengths(words: Vec<String>) -> Result<impl Iterator<Item = usize>, Empty> {
    if words.is_empty() {
        return Err(Empty);
    }
    Ok(words.into_iter().map(|word| word.len()))
}

/// Patterns, an argument that is changed, and generics that can be recorded or not.
#[instrument(ret)]
fn patterns<T: Debug, U>(
    (a, b): (u32, Option<u32>),
    [c, ..]: [u32; 2],
    mut d: u32,
    shown: T,
    _hidden: U,
    also: impl Display,
) -> String {
    d += 1;
    format!("{a} {b:?} {c} {d} {shown:?} {also}")
}

/// Not [`Unpin`] while it waits, and held across the wait is what it borrows.
#[instrument(err, ret, fields(twice = n * 2))]
async fn countdown(n: u32, log: &mut Vec<u32>) -> Result<&mut Vec<u32>, Empty> {
    let mut left = n;
    while left > 0 {
        Once(false).await;
        log.push(left);
        left = left.checked_sub(1).ok_or(Empty)?;
    }
    if n == 0 {
        return Err(Empty);
    }
    Ok(log)
}

/// No result, and an argument that is moved.
#[instrument(skip(text))]
async fn consume(text: String) {
    Once(false).await;
    drop(text);
}

/// Waits once.
struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Polls to the end, and counts how often.
fn block_on<F: Future>(future: F) -> (F::Output, u32) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for polls in 1.. {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return (output, polls);
        }
    }
    unreachable!("it is polled until it is ready")
}

#[test]
fn results_are_those_of_the_body() {
    assert_eq!(first(&mut [1, 2]), Ok(&mut 2));
    assert_eq!(first(&mut []), Err(Empty));
    let words = vec!["a".to_owned(), "bc".to_owned()];
    assert_eq!(lengths(words).map(Iterator::sum), Ok(3_usize));
    assert!(lengths(Vec::new()).is_err());
    assert_eq!(patterns((1, None), [2, 3], 4, "x", Circle, 'y'), "1 None 2 5 \"x\" y");
}

#[test]
fn asynchronous_functions_wait_as_they_did() {
    let mut log = Vec::new();
    assert_eq!(block_on(countdown(2, &mut log)), (Ok(&mut vec![2, 1]), 3));
    assert_eq!(block_on(countdown(0, &mut log)), (Err(Empty), 1));
    assert_eq!(block_on(consume("text".to_owned())), ((), 2));
    assert_eq!(block_on(Square.paint("red")), (3, 1));
    assert_eq!(block_on(Circle.paint("red")), (4, 1));
}

#[test]
fn futures_of_instrumented_functions_are_as_free_as_those_of_others() {
    fn goes_anywhere<T: Send + 'static>(_: &T) {}
    goes_anywhere(&consume(String::new()));
}
