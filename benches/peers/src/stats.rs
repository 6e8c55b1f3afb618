//! Medians and their company, for every table `peers` prints.
//!
//! On a shared machine the mean follows the worst disturbance, so tables quote the median with the
//! smallest and largest sample beside it. **Alternative:** a confidence interval; seven rounds do not
//! carry one honestly.

use serde::Serialize;

/// The middle and the ends of some samples.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Summarises `samples`, of which there must be one at least.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (last, middle) = (sorted.len() - 1, sorted.len() / 2);
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Self { median, min: sorted[0], max: sorted[last] }
    }
}

/// The value that `share` of `sorted` do not exceed. There must be one at least.
pub(crate) fn percentile<T: Copy>(sorted: &[T], share: f64) -> T {
    let last = sorted.len() - 1;
    sorted[(share * last as f64).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_samples() {
        let sorted: Vec<_> = (0..=200).collect();
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|share| percentile(&sorted, share)),
            [0, 100, 198, 200]
        );
        assert_eq!(percentile(&[7], 0.99), 7);
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(Summary::of([5.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(Summary::of([8.0, 1.0, 2.0, 4.0]).median, 3.0);
        let one = Summary::of([7.0]);
        assert_eq!((one.min, one.median, one.max), (7.0, 7.0, 7.0));
    }
}
