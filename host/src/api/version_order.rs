//! The order of API versions: k8s.io/apimachinery, pkg/version, `CompareKubeAwareVersionStrings`.

use std::cmp::Ordering;

/// `foo1 < v1alpha1 < v1beta1 < v1 < v2`: stable after beta after alpha after what is no such name.
pub fn ascending(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        // Upstream prefers the name that comes first in the alphabet.
        (None, None) => b.cmp(a),
    }
}

/// Stability (alpha 0, beta 1, stable 2), major, minor.
fn parse(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    for (name, stability) in [("alpha", 0), ("beta", 1)] {
        if let Some((major, minor)) = rest.split_once(name) {
            return Some((stability, number(major)?, number(minor)?));
        }
    }
    Some((2, number(rest)?, 0))
}

fn number(digits: &str) -> Option<u64> {
    let is_number = digits.bytes().all(|it| it.is_ascii_digit()) && !digits.starts_with('0');
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the documentation of APIServiceSpec.versionPriority.
    #[test]
    fn orders_as_kubernetes_does() {
        let documented = [
            "v10",
            "v2",
            "v1",
            "v11beta2",
            "v10beta3",
            "v3beta1",
            "v12alpha1",
            "v11alpha2",
            "foo1",
            "foo10",
        ];
        let mut sorted = documented.to_vec();
        sorted.sort_by(|a, b| ascending(b, a));
        assert_eq!(sorted, documented);
    }
}
