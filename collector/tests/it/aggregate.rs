//! Histograms against the formulas of the data model.

use observe_collector::aggregate::{
    BoundsError, DEFAULT_BOUNDS, ExplicitHistogram, ExponentialHistogram, MAX_BUCKETS,
};
use observe_collector::event::{Buckets, Exemplar, ExponentialHistogramPoint, Number};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq};
use proptest::prelude::{prop_oneof, proptest};
use proptest::sample::select;

/// Doubles of all sizes, those of a few magnitudes, and what is no number.
fn value() -> impl Strategy<Value = f64> {
    let special =
        vec![0.0, -0.0, 1.0, 2.0, 4.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, -1.0, f64::MIN];
    prop_oneof![
        4 => 1e-3..1e3,
        2 => -10.0..10.0,
        1 => any::<f64>(),
        1 => select(special),
        1 => select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() }
}

fn exponential(values: &[f64]) -> ExponentialHistogramPoint {
    let mut histogram = ExponentialHistogram::new();
    for &value in values {
        assert_eq!(histogram.record(value), value.is_finite());
    }
    histogram.point(Vec::new(), 1)
}

/// How many of these positive values lie in the bucket of an index, by the formula, and how many
/// so near to one of its ends that a logarithm cannot tell.
fn within(values: &[f64], index: i32, scale: i32) -> (u64, u64) {
    let place = |value: f64| value.log2() * 2.0_f64.powi(scale);
    let (mut surely, mut maybe) = (0, 0);
    for value in values {
        let from_start = place(*value) - f64::from(index);
        // The error of a logarithm of up to 1,074.
        let error = 1_074.0 * f64::EPSILON * 2.0_f64.powi(scale.max(0)) + 1e-12;
        let is_exact = value.log2().fract() == 0.0 && 2.0_f64.powf(value.log2()) == *value;
        if is_exact && scale <= 0 {
            surely += u64::from(from_start > 0.0 && from_start <= 1.0);
        } else if from_start.abs() < error || (from_start - 1.0).abs() < error {
            maybe += 1;
        } else {
            surely += u64::from(from_start > 0.0 && from_start < 1.0);
        }
    }
    (surely, maybe)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn each_value_lies_in_the_exponential_bucket_of_the_formula(values in vec(value(), 0..40)) {
        let point = exponential(&values);
        let finite: Vec<_> = values.into_iter().filter(|value| value.is_finite()).collect();
        prop_assert_eq!(point.count, finite.len() as u64);
        prop_assert_eq!(point.zero_count, finite.iter().filter(|value| **value == 0.0).count() as u64);
        prop_assert_eq!(point.min, finite.iter().copied().reduce(f64::min));
        prop_assert_eq!(point.max, finite.iter().copied().reduce(f64::max));
        prop_assert!((-10..=20).contains(&point.scale));
        let above: Vec<_> = finite.iter().copied().filter(|value| *value > 0.0).collect();
        let below: Vec<_> = finite.iter().map(|value| -value).filter(|value| *value > 0.0).collect();
        for (side, values) in [(&point.positive, above), (&point.negative, below)] {
            prop_assert!(side.counts.len() <= MAX_BUCKETS);
            prop_assert_eq!(side.counts.iter().sum::<u64>(), values.len() as u64);
            for (index, &count) in (side.offset..).zip(&side.counts) {
                let (surely, maybe) = within(&values, index, point.scale);
                prop_assert!((surely..=surely + maybe).contains(&count), "{index} of {side:?}");
            }
        }
    }

    /// The scale falls no further than it must.
    #[test]
    fn one_scale_more_would_take_too_many_buckets(values in vec(1e-3..1e3, 1..40)) {
        let point = exponential(&values);
        let side = &point.positive;
        let used = side.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        prop_assert!(point.scale == 20 || used > MAX_BUCKETS / 2, "{} {used}", point.scale);
    }

    #[test]
    fn what_is_merged_is_what_was_recorded_at_once(
        first in vec(value(), 0..30),
        second in vec(value(), 0..30),
    ) {
        let record = |values: &[f64]| {
            let mut histogram = ExponentialHistogram::new();
            values.iter().for_each(|value| { histogram.record(*value); });
            histogram
        };
        let magnitude: f64 =
            first.iter().chain(&second).filter(|value| value.is_finite()).map(|v| v.abs()).sum();
        let mut merged = record(&first);
        merged.merge(&record(&second));
        let mut all = record(&[first, second].concat()).point(Vec::new(), 1);
        let merged = merged.point(Vec::new(), 1);
        // Sums are of another order.
        let (one, other) = (merged.sum.expect("a sum"), all.sum.expect("a sum"));
        prop_assert!((one - other).abs() <= 1e-9 * magnitude);
        all.sum = merged.sum;
        prop_assert_eq!(merged, all);
    }

    #[test]
    fn each_value_lies_in_its_explicit_bucket(
        values in vec(value(), 0..40),
        bounds in prop_oneof![
            vec(-1e3..1e3, 0..8).prop_map(|mut bounds| {
                bounds.sort_by(f64::total_cmp);
                bounds.dedup();
                bounds
            }),
            Just(DEFAULT_BOUNDS.to_vec()),
        ],
    ) {
        let mut histogram = ExplicitHistogram::new(bounds.clone()).expect("rising");
        for &value in &values {
            prop_assert_eq!(histogram.record(value), value.is_finite());
        }
        let point = histogram.point(Vec::new(), 1);
        prop_assert_eq!(point.counts.len(), bounds.len() + 1);
        let ends = |at: usize| {
            let lower = at.checked_sub(1).map_or(f64::NEG_INFINITY, |at| bounds[at]);
            (lower, bounds.get(at).copied().unwrap_or(f64::INFINITY))
        };
        for (at, count) in point.counts.iter().enumerate() {
            let (lower, upper) = ends(at);
            let inside = |value: &&f64| value.is_finite() && **value > lower && **value <= upper;
            prop_assert_eq!(*count, values.iter().filter(inside).count() as u64);
        }
        prop_assert_eq!(point.count, point.counts.iter().sum::<u64>());
        prop_assert_eq!(histogram.count(), point.count);
        histogram.reset();
        prop_assert_eq!(histogram, ExplicitHistogram::new(bounds).expect("rising"));
    }
}

#[test]
fn bounds_that_do_not_rise_are_refused() {
    for (bounds, bound) in [
        (vec![1.0, 1.0], 1),
        (vec![1.0, 0.5], 1),
        (vec![f64::NAN], 0),
        (vec![0.0, 1.0, f64::INFINITY], 2),
    ] {
        let BoundsError { bound: at, .. } = ExplicitHistogram::new(bounds).expect_err("no bounds");
        assert_eq!(at, bound);
    }
    let error = ExplicitHistogram::new(vec![1.0, 0.5]).expect_err("no bounds").to_string();
    let expected = "bound 1 of a histogram is 0.5: \
                    bounds must be finite, and each greater than the one before";
    assert_eq!(error, expected);
}

#[test]
fn sums_stay_numbers() {
    let mut histogram = ExponentialHistogram::new();
    for value in [f64::MAX, f64::MAX, f64::MIN, f64::MIN, f64::MIN, 1.0] {
        histogram.record(value);
    }
    assert!(histogram.point(Vec::new(), 1).sum.expect("a sum").is_finite());
    assert_eq!(histogram.count(), 6);
    histogram.reset();
    assert_eq!(histogram, ExponentialHistogram::default());
    assert_eq!(histogram.point(Vec::new(), 1).positive, Buckets::default());
}

#[test]
fn exemplars_are_few_and_of_all_times() {
    let exemplar = |value: u32| Exemplar {
        time_unix_nanos: u64::from(value),
        value: Number::Int(value.into()),
        trace_id: None,
        span_id: None,
        filtered_attributes: Vec::new(),
    };
    let mut exponential = ExponentialHistogram::new();
    let mut explicit = ExplicitHistogram::new([10.0, 100.0]).expect("rising");
    for value in 1..=10_000 {
        exponential.record_with(value.into(), exemplar(value));
        explicit.record_with(value.into(), exemplar(value));
    }
    assert!(!exponential.record_with(f64::NAN, exemplar(0)));
    assert!(!explicit.record_with(f64::INFINITY, exemplar(0)));
    let kept = exponential.point(Vec::new(), 1).exemplars;
    assert_eq!(kept.len(), 20);
    let late = kept.iter().filter(|exemplar| exemplar.time_unix_nanos > 5_000).count();
    assert!((3..=17).contains(&late), "{late} of 20 are of the second half");
    let kept = explicit.point(Vec::new(), 1).exemplars;
    assert_eq!(kept, [10, 100, 10_000].map(exemplar));
}
