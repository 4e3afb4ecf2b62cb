//! Medians and quartiles.

use serde::Serialize;

/// The middle of a set of figures, and how far they spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Quartiles {
    /// A quarter of the figures is below.
    pub(crate) lower: f64,
    /// Half of them are.
    pub(crate) median: f64,
    /// Three quarters are.
    pub(crate) upper: f64,
}

impl Quartiles {
    /// The quartiles of `figures`, interpolated between neighbours; `None` if there are none.
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            lower: quantile(&sorted, 1)?,
            median: quantile(&sorted, 2)?,
            upper: quantile(&sorted, 3)?,
        })
    }
}

/// The value below which `quarters` quarters of the sorted figures lie.
fn quantile(sorted: &[f64], quarters: usize) -> Option<f64> {
    let place = quarters * sorted.len().checked_sub(1)?;
    let (whole, rest) = (place / 4, place % 4);
    let below = sorted.get(whole)?;
    let above = sorted.get(whole + 1).unwrap_or(below);
    Some(below + (above - below) * rest as f64 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quartiles(figures: &[f64]) -> (f64, f64, f64) {
        let Quartiles {
            lower,
            median,
            upper,
        } = Quartiles::of(figures).unwrap();
        (lower, median, upper)
    }

    #[test]
    fn figures_in_any_order_are_sorted_first() {
        assert_eq!(quartiles(&[5.0, 1.0, 4.0, 2.0, 3.0]), (2.0, 3.0, 4.0));
    }

    #[test]
    fn between_two_figures_the_value_is_interpolated() {
        assert_eq!(quartiles(&[1.0, 2.0]), (1.25, 1.5, 1.75));
        assert_eq!(quartiles(&[4.0, 1.0, 2.0, 3.0]), (1.75, 2.5, 3.25));
    }

    #[test]
    fn one_figure_is_all_three_and_none_is_nothing() {
        assert_eq!(quartiles(&[7.0]), (7.0, 7.0, 7.0));
        assert_eq!(Quartiles::of(&[]), None);
    }

    #[test]
    fn one_wild_figure_does_not_move_the_median() {
        assert_eq!(quartiles(&[1.0, 1.0, 1.0, 1.0, 900.0]).1, 1.0);
    }
}
