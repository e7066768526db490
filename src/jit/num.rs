//! The arithmetic that takes more than an instruction: what CPython and ECMAScript say, in Rust.
//!
//! The interpreter calls these; generated code calls the same functions where it does not inline them. `None` means
//! "leave": the host raises, answers a big int or a complex number.

use super::imports::Import;

pub(super) const TWO_53: i64 = 1 << 53;
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

pub(super) fn py_floordiv_i64(a: i64, b: i64) -> Option<i64> {
    let quotient = a.checked_div(b)?;
    let inexact = a.wrapping_rem(b) != 0;
    Some(quotient - i64::from(inexact && (a < 0) != (b < 0)))
}

pub(super) fn py_mod_i64(a: i64, b: i64) -> Option<i64> {
    if b == 0 {
        return None;
    }
    let rest = a.wrapping_rem(b);
    Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
}

pub(super) fn py_truediv_i64(a: i64, b: i64) -> Option<f64> {
    // Both exact: then the quotient is rounded once, as CPython's is.
    let exact = |x: i64| (-TWO_53..=TWO_53).contains(&x);
    (b != 0 && exact(a) && exact(b)).then(|| a as f64 / b as f64)
}

pub(super) fn py_pow_i64(base: i64, exponent: i64) -> Option<i64> {
    let mut left = u64::try_from(exponent).ok()?;
    let (mut result, mut square) = (1_i64, base);
    loop {
        if left & 1 == 1 {
            result = result.checked_mul(square)?;
        }
        left >>= 1;
        if left == 0 {
            return Some(result);
        }
        square = square.checked_mul(square)?;
    }
}

pub(super) fn py_shl_i64(a: i64, by: i64) -> Option<i64> {
    if !(0..64).contains(&by) {
        return None;
    }
    let shifted = a << by;
    (shifted >> by == a).then_some(shifted)
}

pub(super) fn py_shr_i64(a: i64, by: i64) -> Option<i64> {
    if by < 0 { None } else { Some(a >> by.min(63)) }
}

pub(super) fn py_mod_f64(a: f64, b: f64) -> Option<f64> {
    if b == 0.0 {
        return None;
    }
    let rest = a % b;
    Some(if rest == 0.0 {
        0.0_f64.copysign(b)
    } else if (b < 0.0) != (rest < 0.0) {
        rest + b
    } else {
        rest
    })
}

pub(super) fn py_floordiv_f64(a: f64, b: f64) -> Option<f64> {
    if b == 0.0 {
        return None;
    }
    let rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 && (b < 0.0) != (rest < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return Some(0.0_f64.copysign(a / b));
    }
    let floor = quotient.floor();
    Some(if quotient - floor > 0.5 { floor + 1.0 } else { floor })
}

/// CPython's `float_pow`, without what it raises and without its complex results.
pub(super) fn py_pow_f64(base: f64, exponent: f64) -> Option<f64> {
    if exponent == 0.0 {
        return Some(1.0);
    }
    if base.is_nan() {
        return Some(base);
    }
    if exponent.is_nan() {
        return Some(if base == 1.0 { 1.0 } else { exponent });
    }
    if exponent.is_infinite() {
        let size = base.abs();
        return Some(if size == 1.0 {
            1.0
        } else if (exponent > 0.0) == (size > 1.0) {
            exponent.abs()
        } else {
            0.0
        });
    }
    let odd = (exponent.abs() % 2.0) == 1.0;
    if base.is_infinite() {
        return Some(match (exponent > 0.0, odd) {
            (true, true) => base,
            (true, false) => base.abs(),
            (false, true) => 0.0_f64.copysign(base),
            (false, false) => 0.0,
        });
    }
    if base == 0.0 {
        return if exponent < 0.0 { None } else { Some(if odd { base } else { 0.0 }) };
    }
    if base < 0.0 && exponent != exponent.floor() {
        return None;
    }
    let negate = base < 0.0 && odd;
    let size = base.abs();
    let power = if size == 1.0 { 1.0 } else { Import::Pow.call(size, exponent) };
    // CPython looks at errno, which libm may set for subnormal results as well: leave those to it.
    if !power.is_finite() || power.is_subnormal() {
        return None;
    }
    Some(if negate { -power } else { power })
}

pub(super) fn py_to_i64(integral: f64) -> Option<i64> {
    (-TWO_63..TWO_63).contains(&integral).then_some(integral as i64)
}

pub(super) fn py_exact_f64(a: i64) -> Option<f64> {
    (-TWO_53..=TWO_53).contains(&a).then_some(a as f64)
}

pub(super) fn py_math_check(result: f64, x: f64) -> Option<f64> {
    let nan = result.is_nan() && !x.is_nan();
    let infinite = result.is_infinite() && x.is_finite();
    (!nan && !infinite).then_some(result)
}

pub(super) fn py_math_check2(result: f64, x: f64, y: f64) -> Option<f64> {
    let nan = result.is_nan() && !x.is_nan() && !y.is_nan();
    let infinite = result.is_infinite() && x.is_finite() && y.is_finite();
    (!nan && !infinite).then_some(result)
}

pub(super) fn py_wrap_index(index: i64, len: i64) -> i64 {
    if index < 0 { index.wrapping_add(len) } else { index }
}

pub(super) fn py_range_len(start: i64, stop: i64, step: i64) -> Option<i64> {
    let (low, high, size) = match step {
        0 => return None,
        s if s > 0 => (start, stop, s.unsigned_abs()),
        s => (stop, start, s.unsigned_abs()),
    };
    if low >= high {
        return Some(0);
    }
    let distance = high.wrapping_sub(low).cast_unsigned();
    i64::try_from((distance - 1) / size + 1).ok()
}

pub(super) fn js_to_int32(x: f64) -> i32 {
    if !x.is_finite() {
        return 0;
    }
    let whole = x.trunc();
    if whole.abs() < TWO_63 {
        return whole as i64 as i32;
    }
    // Exact: the remainder of a float by 2^32 is a float.
    (whole % 4_294_967_296.0) as i64 as i32
}

pub(super) fn js_round(x: f64) -> f64 {
    if !x.is_finite() || x.abs() >= TWO_53 as f64 {
        return x;
    }
    let floor = x.floor();
    let rounded = if x - floor >= 0.5 { floor + 1.0 } else { floor };
    rounded.copysign(x)
}

pub(super) fn js_min(a: f64, b: f64) -> f64 {
    match a.partial_cmp(&b) {
        None => f64::NAN,
        Some(std::cmp::Ordering::Less) => a,
        Some(std::cmp::Ordering::Greater) => b,
        Some(std::cmp::Ordering::Equal) => {
            if a.is_sign_negative() {
                a
            } else {
                b
            }
        }
    }
}

pub(super) fn js_max(a: f64, b: f64) -> f64 {
    match a.partial_cmp(&b) {
        None => f64::NAN,
        Some(std::cmp::Ordering::Greater) => a,
        Some(std::cmp::Ordering::Less) => b,
        Some(std::cmp::Ordering::Equal) => {
            if a.is_sign_negative() {
                b
            } else {
                a
            }
        }
    }
}

pub(super) fn js_sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x } else { 1.0_f64.copysign(x) }
}

pub(super) fn js_index(x: f64) -> Option<i64> {
    (x >= 0.0 && x < TWO_53 as f64 && x == x.trunc()).then_some(x as i64)
}
