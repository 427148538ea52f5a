//! The API of k8s.io/sample-apiserver: Flunders in two versions, and Fischers that ban names of Flunders.
//!
//! The host decodes, stores, lists, watches, patches and answers. Here is only what is special to this group;
//! what the resources are called and made of stands in `manifest.json`.

use outrigger_sdk::objects::{self, Resource};
use outrigger_sdk::{
    Convert, Defaults, Failure, Object, Plugin, Target, Validate, Value, Warnings, json,
};
use serde::{Deserialize, Serialize};

struct Wardle;

outrigger_sdk::export!(Wardle: Defaults, Validate, Convert);

impl Plugin for Wardle {
    fn manifest() -> String {
        include_str!("manifest.json").into()
    }
}

/// A Flunder's spec in v1alpha1: one reference, to what its type says.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
struct AlphaSpec {
    #[serde(skip_serializing_if = "String::is_empty")]
    reference: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reference_type: String,
}

/// A Flunder's spec in v1beta1, which is the version that is stored: a reference of its own for each type.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
struct BetaSpec {
    #[serde(skip_serializing_if = "String::is_empty")]
    flunder_reference: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fischer_reference: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reference_type: String,
}

impl Defaults for Wardle {
    fn defaults(target: &Target, object: &mut Object) -> Result<(), Failure> {
        if target.resource == "fischers" {
            drop_empty(object);
        } else if let Some(spec) = object.get_mut("spec") {
            drop_empty(spec);
            if target.version == "v1alpha1"
                && !spec["reference"].is_null()
                && spec["referenceType"].is_null()
            {
                spec["referenceType"] = json!("Flunder");
            }
        }
        Ok(())
    }
}

/// Fields that are empty are the same as none.
fn drop_empty(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !(field.is_null() || *field == "" || *field == json!([])));
    }
}

impl Convert for Wardle {
    fn convert(flunder: &mut Object, to_version: &str) -> Result<(), Failure> {
        if to_version == "v1beta1" {
            let alpha: AlphaSpec = flunder.field("spec")?;
            flunder.set_field("spec", &BetaSpec::from(alpha))
        } else {
            let beta: BetaSpec = flunder.field("spec")?;
            flunder.set_field("spec", &AlphaSpec::from(beta))
        }
    }
}

impl From<AlphaSpec> for BetaSpec {
    /// A reference of another type than these two is dropped.
    fn from(
        AlphaSpec {
            reference,
            reference_type,
        }: AlphaSpec,
    ) -> Self {
        match reference_type.as_str() {
            "Flunder" => Self {
                flunder_reference: reference,
                reference_type,
                ..Self::default()
            },
            "Fischer" => Self {
                fischer_reference: reference,
                reference_type,
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

impl From<BetaSpec> for AlphaSpec {
    fn from(beta: BetaSpec) -> Self {
        let reference = match beta.reference_type.as_str() {
            "Flunder" => beta.flunder_reference,
            "Fischer" => beta.fischer_reference,
            _ => return Self::default(),
        };
        Self {
            reference,
            reference_type: beta.reference_type,
        }
    }
}

impl Validate for Wardle {
    /// As in the original, an update is not checked.
    fn validate(target: &Target, new: &Object, _: Option<&Object>) -> Result<Warnings, Failure> {
        if target.resource == "flunders" && target.is_create() {
            check_ban(target, new)?;
            check_spec(&new.field("spec")?)?;
        }
        Ok(Warnings::new())
    }
}

/// Refuses a name that a Fischer bans.
fn check_ban(target: &Target, flunder: &Object) -> Result<(), Failure> {
    let fischers = Resource {
        group: "wardle.example.com",
        version: "v1alpha1",
        resource: "fischers",
    };
    for fischer in objects::list(fischers, None, "")? {
        let banned = fischer["disallowedFlunders"].as_array();
        if banned.is_some_and(|names| names.iter().any(|name| name == flunder.name())) {
            return Err(
                target.forbidden("this name may not be used, please change the resource name")
            );
        }
    }
    Ok(())
}

fn check_spec(spec: &BetaSpec) -> Result<(), Failure> {
    let (flunder, fischer) = (
        spec.flunder_reference.as_str(),
        spec.fischer_reference.as_str(),
    );
    let kind = spec.reference_type.as_str();
    let problem = match kind {
        _ if !flunder.is_empty() && !fischer.is_empty() => Some((
            "fischer",
            fischer,
            "set with flunderReference at the same time",
        )),
        _ if !flunder.is_empty() && kind != "Flunder" => {
            Some(("flunder", flunder, "set if referenceType is not Flunder"))
        }
        _ if !fischer.is_empty() && kind != "Fischer" => {
            Some(("fischer", fischer, "set if referenceType is not Fischer"))
        }
        "Fischer" if fischer.is_empty() => {
            Some(("fischer", fischer, "empty if referenceType is Fischer"))
        }
        "Flunder" if flunder.is_empty() => {
            Some(("flunder", flunder, "empty if referenceType is Flunder"))
        }
        _ => None,
    };

    let mut failure = Failure::invalid();
    if let Some((reference, value, why)) = problem {
        let path = format!("spec.{reference}Reference");
        failure = failure.field(&path, value, &format!("cannot be {why}"));
    }
    if !["", "Flunder", "Fischer"].contains(&kind) {
        failure = failure.field("spec.referenceType", kind, "must be Flunder or Fischer");
    }
    failure.check()
}

#[cfg(test)]
mod tests;
