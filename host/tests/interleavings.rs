//! What threads share without a lock, in every order that the memory model allows: by loom.
//!
//! Of the other atomics of the crate, `Interrupter` is one flag that nothing hangs on, the periods and
//! callers that a module learned are hints, each by itself, and `Suspended` is written and read by
//! whoever works on its trace, who has the store for that alone.
//!
//! Miri, which would run all of this and the two instructions that `clock.rs` calls `unsafe` for, comes
//! with nightly toolchains only, and knows neither of the two.

use loom::sync::{Arc, atomic};
use loom::thread;

#[path = "../src/versioned.rs"]
mod versioned;

use versioned::Versioned;

/// What a store does: it takes up the number if the version is another one.
struct Store {
    version: u32,
    bits: u64,
}

impl Store {
    fn begin(shared: &Versioned) -> Self {
        let version = shared.version();
        Store { version, bits: shared.get() }
    }

    fn look(&mut self, shared: &Versioned) {
        let version = shared.version();
        if version != self.version {
            *self = Store { version, bits: shared.get() };
        }
    }
}

#[test]
fn a_store_that_looks_after_the_last_change_has_its_number() {
    loom::model(|| {
        let shared = Arc::new(Versioned::new(1));
        let change = |bits| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.set(bits))
        };
        let changes = [change(2), change(3)];
        let mut store = Store::begin(&shared);
        store.look(&shared);
        for change in changes {
            change.join().expect("no panic");
        }
        store.look(&shared);
        // One of the two was last, and nobody may go on with another number.
        assert_eq!(store.bits, shared.get());
        assert!([2, 3].contains(&store.bits));
    });
}

#[test]
fn who_sees_a_change_sees_its_number() {
    loom::model(|| {
        let shared = Arc::new(Versioned::new(1));
        let ours = Arc::clone(&shared);
        let change = thread::spawn(move || {
            ours.set(2);
            ours.set(3);
        });
        let version = shared.version();
        let bits = shared.get();
        assert!(bits > u64::from(version), "version {version} with {bits}");
        change.join().expect("no panic");
    });
}
