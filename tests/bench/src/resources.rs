//! What is asked for: resources with a plugin's hooks, with nothing but a schema, and with five managers, and the
//! operations on them.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::ValueEnum;
use http::Method;
use serde_json::{Value, json};

use crate::composition;
use crate::load::User;
use crate::schema;

/// Objects that a list has, each of about 1 KiB.
pub(crate) const LISTED: usize = 1_000;

const JSON: &str = "application/json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Operation {
    /// one object of 1 KiB
    Get,
    /// 1,000 objects of 1 KiB
    List,
    /// a new object
    Create,
    /// PUT, with the resourceVersion of the answer before
    Update,
    /// a merge patch of one field
    MergePatch,
    /// a JSON patch of one field
    JsonPatch,
    /// server-side apply that changes one field
    Apply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// examples/wardle: hooks that default and validate, in a component.
    Hooks,
    /// A CustomResourceDefinition with a schema of forty fields.
    Schema,
    /// Objects of 10 KiB with lists of maps, parts of which five managers have applied.
    Managed,
}

/// Who applies the parts of a managed object.
const MANAGERS: [&str; 5] = ["m0", "m1", "m2", "m3", "m4"];

impl Resource {
    pub(crate) const ALL: [Self; 3] = [Self::Hooks, Self::Schema, Self::Managed];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Hooks => "plugin",
            Self::Schema => "definition",
            Self::Managed => "five managers",
        }
    }

    /// Of managed objects only what changes a field is of interest.
    pub(crate) fn takes(self, operation: Operation) -> bool {
        self != Self::Managed || matches!(operation, Operation::MergePatch | Operation::Apply)
    }

    /// Lists have a namespace of their own.
    fn collection(self, namespace: &str) -> String {
        match self {
            Self::Hooks => {
                format!("/apis/wardle.example.com/v1beta1/namespaces/{namespace}/flunders")
            }
            Self::Schema => format!("/apis/bench.example.com/v1/namespaces/{namespace}/workloads"),
            Self::Managed => {
                format!("/apis/bench.example.com/v1/namespaces/{namespace}/compositions")
            }
        }
    }

    /// Answers once the resource is served.
    pub(crate) fn path(self) -> String {
        self.collection("default")
    }

    fn object(self, name: &str, round: u64) -> Value {
        match self {
            Self::Hooks => json!({
                "apiVersion": "wardle.example.com/v1beta1", "kind": "Flunder",
                "metadata": {
                    "name": name,
                    "annotations": {"bench.example.com/filler": "x".repeat(700)},
                },
                "spec": {"referenceType": "Flunder", "flunderReference": format!("number-{round}")},
            }),
            Self::Schema => {
                let mut object = schema::object();
                object["metadata"] = json!({"name": name});
                object["spec"]["notes"] = format!("number-{round}").into();
                object
            }
            Self::Managed => composition::part(name, round, 0),
        }
    }

    /// The field that updates and patches change.
    fn changed(self) -> &'static str {
        match self {
            Self::Hooks => "flunderReference",
            Self::Schema | Self::Managed => "notes",
        }
    }

    /// Fills the list.
    pub(crate) async fn fill(self, user: &mut User) -> Result<()> {
        if !self.takes(Operation::List) {
            return Ok(());
        }
        let path = self.collection("list");
        for number in 0..LISTED {
            let object = self.object(&format!("listed-{number:04}"), 0);
            let body = object.to_string().into();
            user.send(Method::POST, &path, JSON, body).await?;
        }
        Ok(())
    }
}

/// One client's share of a measurement.
pub(crate) struct Work {
    operation: Operation,
    resource: Resource,
    name: String,
    round: u64,
    resource_version: String,
}

impl Operation {
    pub(crate) fn title(self) -> String {
        let name = self.to_possible_value();
        name.map_or_else(String::new, |it| it.get_name().to_owned())
    }

    pub(crate) fn begin(self, resource: Resource, client: usize) -> Work {
        // What is made in one run must not be in the way of the next.
        let unique = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |it| it.as_micros());
        Work {
            operation: self,
            resource,
            name: format!("o-{unique:x}-{client}"),
            round: 0,
            resource_version: String::new(),
        }
    }
}

impl Work {
    /// Makes the object that is changed.
    pub(crate) async fn prepare(&mut self, user: &mut User) -> Result<()> {
        if self.resource == Resource::Managed {
            let item = format!("{}/{}", self.resource.path(), self.name);
            for (number, manager) in MANAGERS.iter().enumerate() {
                let part = composition::part(&self.name, 0, number);
                apply(user, &item, manager, &part).await?;
            }
            return Ok(());
        }
        let object = self.resource.object(&self.name, 0);
        let body = object.to_string().into();
        let answer = user
            .send(Method::POST, &self.resource.path(), JSON, body)
            .await?;
        self.resource_version = resource_version(&answer)?;
        Ok(())
    }

    pub(crate) async fn once(&mut self, user: &mut User) -> Result<()> {
        self.round += 1;
        let (collection, name, round) = (self.resource.path(), &self.name, self.round);
        let item = format!("{collection}/{name}");
        let field = self.resource.changed();
        match self.operation {
            Operation::Get => {
                let path = format!("{}/listed-0500", self.resource.collection("list"));
                user.send(Method::GET, &path, JSON, Bytes::new()).await?;
            }
            Operation::List => {
                let path = self.resource.collection("list");
                user.send(Method::GET, &path, JSON, Bytes::new()).await?;
            }
            Operation::Create => {
                let object = self.resource.object(&format!("{name}-{round}"), round);
                let body = object.to_string().into();
                user.send(Method::POST, &collection, JSON, body).await?;
            }
            Operation::Update => {
                let mut object = self.resource.object(name, round);
                object["metadata"]["resourceVersion"] = self.resource_version.as_str().into();
                let body = object.to_string().into();
                let answer = user.send(Method::PUT, &item, JSON, body).await?;
                self.resource_version = resource_version(&answer)?;
            }
            Operation::MergePatch => {
                let body = format!(r#"{{"spec":{{"{field}":"number-{round}"}}}}"#);
                let media = "application/merge-patch+json";
                user.send(Method::PATCH, &item, media, body.into()).await?;
            }
            Operation::JsonPatch => {
                let body = format!(
                    r#"[{{"op":"replace","path":"/spec/{field}","value":"number-{round}"}}]"#
                );
                let media = "application/json-patch+json";
                user.send(Method::PATCH, &item, media, body.into()).await?;
            }
            Operation::Apply => {
                let object = self.resource.object(name, round);
                apply(user, &item, MANAGERS[0], &object).await?;
            }
        }
        Ok(())
    }
}

async fn apply(user: &mut User, item: &str, manager: &str, object: &Value) -> Result<()> {
    let path = format!("{item}?fieldManager={manager}&force=true");
    let media = "application/apply-patch+yaml";
    user.send(Method::PATCH, &path, media, object.to_string().into())
        .await?;
    Ok(())
}

/// Read from the text: parsing all of it would cost the client as much as the server.
fn resource_version(answer: &Bytes) -> Result<String> {
    const FIELD: &str = "\"resourceVersion\":\"";
    let text = std::str::from_utf8(answer)?;
    let rest = text.split_once(FIELD).context("no resourceVersion")?.1;
    let version = rest.split('"').next();
    Ok(version.unwrap_or_default().to_owned())
}
