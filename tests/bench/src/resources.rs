//! What is written and read: resources with a plugin's hooks, with nothing but a schema, and with five managers, and
//! the operations on them.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::client::{Connection, User};
use crate::servers::{Server, product};
use crate::{composition, schema};

/// Objects that a list has.
pub(crate) const LISTED: usize = 10_000;
/// Their namespace.
pub(crate) const LIST: &str = "list";
/// Of those that are watched.
pub(crate) const WATCHED: &str = "watched";
/// Connections that fill a list, and clients of each.
const FILLERS: (usize, usize) = (4, 16);

const JSON: &str = "application/json";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    /// PUT, with the resourceVersion of the answer before.
    Update,
    /// Of one field.
    MergePatch,
    /// Server-side apply that changes one field.
    Apply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// examples/wardle, with hooks that default and validate; sample-apiserver has the same in Go.
    Hooks,
    /// A CustomResourceDefinition with a schema of forty fields.
    Schema,
    /// Objects of 10 KiB with lists of maps, parts of which five managers have applied.
    Managed,
}

/// Who applies the parts of a managed object.
const MANAGERS: [&str; 5] = ["m0", "m1", "m2", "m3", "m4"];

impl Resource {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Hooks => "1 KiB, with hooks",
            Self::Schema => "2 KiB, schema",
            Self::Managed => "10 KiB, five managers",
        }
    }

    pub(crate) fn collection(self, namespace: &str) -> String {
        let (group_version, plural) = match self {
            Self::Hooks => ("wardle.example.com/v1beta1", "flunders"),
            Self::Schema => ("bench.example.com/v1", "workloads"),
            Self::Managed => ("bench.example.com/v1", "compositions"),
        };
        format!("/apis/{group_version}/namespaces/{namespace}/{plural}")
    }

    /// The prefix of its keys in a store.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Hooks => "objects/wardle.example.com/flunders/",
            Self::Schema => "objects/bench.example.com/workloads/",
            Self::Managed => "objects/bench.example.com/compositions/",
        }
    }

    /// Answers once the resource is served.
    pub(crate) fn path(self) -> String {
        self.collection("default")
    }

    /// One of the objects of the list.
    pub(crate) fn listed(self) -> String {
        let name = product::name(LISTED / 2);
        format!("{}/{name}", self.collection(LIST))
    }

    pub(crate) fn object(self, name: &str, round: u64) -> Value {
        match self {
            Self::Hooks => json!({
                "apiVersion": "wardle.example.com/v1beta1", "kind": "Flunder",
                "metadata": {
                    "name": name,
                    "annotations": {"bench.example.com/filler": "x".repeat(400)},
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

    /// The CustomResourceDefinition, where it has one.
    pub(crate) fn definition(self) -> Option<Value> {
        let (kind, plural, schema) = match self {
            Self::Hooks => return None,
            Self::Schema => ("Workload", "workloads", schema::definition()),
            Self::Managed => ("Composition", "compositions", composition::schema()),
        };
        Some(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.bench.example.com")},
            "spec": {
                "group": "bench.example.com",
                "scope": "Namespaced",
                "names": {
                    "plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"),
                },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": schema},
                }],
            },
        }))
    }

    /// The field that updates and patches change.
    fn changed(self) -> &'static str {
        match self {
            Self::Hooks => "flunderReference",
            Self::Schema | Self::Managed => "notes",
        }
    }

    pub(crate) async fn create(self, user: &mut User, namespace: &str, name: &str) -> Result<()> {
        let body = self.object(name, 0).to_string().into();
        user.send(Method::POST, &self.collection(namespace), JSON, body)
            .await?;
        Ok(())
    }

    pub(crate) async fn merge_patch(
        self,
        user: &mut User,
        namespace: &str,
        name: &str,
        round: u64,
    ) -> Result<Bytes> {
        let item = format!("{}/{name}", self.collection(namespace));
        let body = format!(r#"{{"spec":{{"{}":"number-{round}"}}}}"#, self.changed());
        let media = "application/merge-patch+json";
        user.send(Method::PATCH, &item, media, body.into()).await
    }

    /// Makes the objects of a list by requests.
    pub(crate) async fn fill(self, server: &Server, count: usize) -> Result<()> {
        let (connections, clients) = FILLERS;
        let step = connections * clients;
        let mut filling = tokio::task::JoinSet::new();
        let mut opened = Vec::new();
        for connection in 0..connections {
            let open = Connection::open(&server.client).await?;
            for client in 0..clients {
                let mut user = open.user();
                let first = connection * clients + client;
                filling.spawn(async move {
                    for number in (first..count).step_by(step) {
                        self.create(&mut user, LIST, &product::name(number)).await?;
                    }
                    anyhow::Ok(())
                });
            }
            opened.push(open);
        }
        while let Some(done) = filling.join_next().await {
            done??;
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
    pub(crate) fn load(self, resource: Resource) -> String {
        let operation = match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::MergePatch => "merge patch",
            Self::Apply => "apply",
        };
        format!("{operation}, {}", resource.title())
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
        match self.operation {
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
                self.resource
                    .merge_patch(user, "default", name, round)
                    .await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loads;

    #[test]
    fn loads_have_the_names_that_goals_look_for() {
        assert_eq!(Operation::Create.load(Resource::Hooks), loads::CREATE);
        assert_eq!(
            Operation::Apply.load(Resource::Managed),
            loads::APPLY_MANAGED
        );
        assert_eq!(
            Operation::MergePatch.load(Resource::Managed),
            loads::PATCH_MANAGED
        );
    }
}
