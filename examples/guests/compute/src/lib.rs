//! Pure computation: no imports, no data, no allocation.
//!
//! Every export takes and returns numbers, so any host can call it, with or without WASI, and
//! compare the result with that of the uninstrumented module.

#![no_std]

use core::panic::PanicInfo;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Adds, wrapping on overflow.
#[unsafe(no_mangle)]
pub extern "C" fn add(a: i32, b: i32) -> i32 {
    a.wrapping_add(b)
}

/// The `n`th Fibonacci number, by plain recursion: the least work per call there is.
///
/// Takes exactly `2 * fib(n + 1) - 1` calls. The sum saturates to keep it so: out of a sum that
/// wraps, which is associative, LLVM makes a loop with half as many calls.
#[unsafe(no_mangle)]
pub extern "C" fn fib(n: i32) -> i64 {
    if n < 2 { i64::from(n.max(0)) } else { fib(n - 1).saturating_add(fib(n - 2)) }
}

/// How many primes there are up to and including `limit`, by trial division.
#[unsafe(no_mangle)]
pub extern "C" fn primes(limit: i32) -> i32 {
    let mut count = 0;
    for n in 2..=limit {
        count += i32::from(is_prime(n));
    }
    count
}

#[inline(never)]
fn is_prime(n: i32) -> bool {
    let mut divisor = 2;
    while divisor <= n / divisor {
        if n % divisor == 0 {
            return false;
        }
        divisor += 1;
    }
    true
}

const MAX_ITERATIONS: u32 = 256;

/// The sum of the escape times of a `width` by `height` grid over the Mandelbrot set.
#[unsafe(no_mangle)]
pub extern "C" fn mandelbrot(width: i32, height: i32) -> i64 {
    let mut sum = 0;
    for y in 0..height {
        for x in 0..width {
            let re = 3.0 * f64::from(x) / f64::from(width) - 2.0;
            let im = 2.0 * f64::from(y) / f64::from(height) - 1.0;
            sum += i64::from(escape_time(re, im));
        }
    }
    sum
}

/// How often z² + c can be applied, from zero, before z leaves the circle of radius two.
#[inline(never)]
fn escape_time(c_re: f64, c_im: f64) -> u32 {
    let (mut re, mut im) = (0.0, 0.0);
    for n in 0..MAX_ITERATIONS {
        if re * re + im * im > 4.0 {
            return n;
        }
        (re, im) = (re * re - im * im + c_re, 2.0 * re * im + c_im);
    }
    MAX_ITERATIONS
}
