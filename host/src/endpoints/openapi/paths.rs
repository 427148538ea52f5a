//! Paths and their operations, in the form in which servers of typed and of custom resources show them.

use serde_json::{Map, Value, json};

use super::definitions;
use super::parameters::{self, DELETE, DELETE_COLLECTION, LIST, PATCH, READ, WRITE};
use super::published::{META, reference};
use crate::endpoints::discovery::groups::{Group, Version};
use crate::registry::definition::{ObjectModel, VersionDefinition};
use crate::registry::{ResourceDefinition, patch};

const MEDIA_TYPES: &[&str] = &["application/json", "application/yaml"];
const LIST_MEDIA_TYPES: &[&str] = &[
    "application/json",
    "application/json;stream=watch",
    "application/yaml",
];
const DISCOVERY_MEDIA_TYPES: &[&str] = &[
    "application/json",
    "application/vnd.kubernetes.protobuf",
    "application/yaml",
];

pub(super) fn of_version() -> Map<String, Value> {
    let info = "io.k8s.apimachinery.pkg.version.Info";
    let about = (
        "version",
        "getCodeVersion",
        "get the version information for this server",
    );
    single("/version/", about, info, &["application/json"])
}

pub(super) fn of_groups() -> Map<String, Value> {
    let about = ("apis", "getAPIVersions", "get available API versions");
    single(
        "/apis/",
        about,
        &meta("APIGroupList"),
        DISCOVERY_MEDIA_TYPES,
    )
}

pub(super) fn of_group(group: &Group<'_>) -> Map<String, Value> {
    let path = format!("/apis/{}/", group.name);
    let operation = format!("get{}APIGroup", camel(group.name));
    let about = (&*tag(group.name), &*operation, "get information of a group");
    single(&path, about, &meta("APIGroup"), DISCOVERY_MEDIA_TYPES)
}

pub(super) fn of_group_version(group: &Group<'_>, version: &Version<'_>) -> Map<String, Value> {
    let base = format!("/apis/{}/{}", group.name, version.name);
    let mut paths = Map::new();
    let is_typed = |it: &(&ResourceDefinition, _)| it.0.object_model == ObjectModel::Typed;
    if version.resources.iter().any(is_typed) {
        let operation = format!(
            "get{}{}APIResources",
            camel(group.name),
            camel(version.name)
        );
        let tag = format!("{}_{}", tag(group.name), version.name);
        let about = (&*tag, &*operation, "get available resources");
        let list = meta("APIResourceList");
        paths = single(&format!("{base}/"), about, &list, DISCOVERY_MEDIA_TYPES);
    }
    for (definition, of_version) in &version.resources {
        let resource = Resource {
            definition,
            version: of_version,
            base: &base,
            is_typed: definition.object_model == ObjectModel::Typed,
        };
        resource.add_paths(&mut paths);
    }
    paths
}

/// A path with nothing but a GET of an object of the server's own.
fn single(
    path: &str,
    (tag, operation, description): (&str, &str, &str),
    schema: &str,
    media_types: &[&str],
) -> Map<String, Value> {
    let get = json!({
        "tags": [tag],
        "description": description,
        "operationId": operation,
        "responses": {"200": {"description": "OK", "content": content(media_types, schema)}},
    });
    Map::from_iter([(path.to_owned(), json!({ "get": get }))])
}

struct Resource<'a> {
    definition: &'a ResourceDefinition,
    version: &'a VersionDefinition,
    /// `/apis/<group>/<version>`.
    base: &'a str,
    is_typed: bool,
}

/// What an operation is made of beside its resource.
struct Operation<'a> {
    action: &'a str,
    /// How its id begins, and what follows the version in it.
    id: (&'a str, String),
    description: String,
    parameters: &'a [&'a str],
    /// Media types and schema of the body, and whether there must be one.
    body: Option<(&'a [&'a str], String, bool)>,
    /// Status codes, and what they answer.
    answers: (&'a [u16], &'a [&'a str], String),
}

impl Resource<'_> {
    fn add_paths(&self, paths: &mut Map<String, Value>) {
        let plural = &self.definition.names.plural;
        let kind = &self.definition.names.kind;
        let (scope, prefix) = if self.definition.is_namespaced() {
            let all = self.list(&format!("{kind}ForAllNamespaces"));
            self.add(paths, &format!("/{plural}"), &[("get", all)]);
            if self.watches() {
                let all = self.watch("watchlist", &format!("{kind}ListForAllNamespaces"));
                self.add(paths, &format!("/watch/{plural}"), &[("get", all)]);
            }
            ("Namespaced", "/namespaces/{namespace}")
        } else {
            ("", "")
        };
        let collection = format!("{prefix}/{plural}");
        let item = format!("{collection}/{{name}}");
        self.add(paths, &collection, &self.of_collection(scope));
        self.add(paths, &item, &self.of_item(scope));
        if self.version.has_status {
            self.add(paths, &format!("{item}/status"), &self.of_status(scope));
        }
        if self.version.scale.is_some() {
            self.add(paths, &format!("{item}/scale"), &self.of_scale(scope));
        }
        if self.watches() {
            let list = self.watch("watchlist", &format!("{scope}{kind}List"));
            self.add(paths, &format!("/watch{collection}"), &[("get", list)]);
            let one = self.watch("watch", &format!("{scope}{kind}"));
            self.add(paths, &format!("/watch{item}"), &[("get", one)]);
        }
    }

    /// The older paths of watches are listed by typed servers only.
    fn watches(&self) -> bool {
        self.is_typed && self.has("watch")
    }

    fn has(&self, verb: &str) -> bool {
        self.definition.verbs().contains(&verb)
    }

    fn of_collection(&self, scope: &str) -> Vec<(&'static str, Value)> {
        let kind = &self.definition.names.kind;
        let mut operations = vec![("get", self.list(&format!("{scope}{kind}")))];
        if self.has("create") {
            operations.push((
                "post",
                self.operation(&Operation {
                    action: "post",
                    id: ("create", format!("{scope}{kind}")),
                    description: format!("create a {kind}"),
                    parameters: WRITE,
                    body: Some((self.consumes(), self.schema(), true)),
                    answers: (&[200, 201, 202], MEDIA_TYPES, self.schema()),
                }),
            ));
        }
        if self.has("deletecollection") {
            let options = (self.consumes(), meta("DeleteOptions"), false);
            operations.push((
                "delete",
                self.operation(&Operation {
                    action: "deletecollection",
                    id: ("delete", format!("Collection{scope}{kind}")),
                    description: format!("delete collection of {kind}"),
                    parameters: if self.is_typed {
                        DELETE_COLLECTION
                    } else {
                        LIST
                    },
                    body: self.is_typed.then_some(options),
                    answers: (&[200], MEDIA_TYPES, meta("Status")),
                }),
            ));
        }
        operations
    }

    fn of_item(&self, scope: &str) -> Vec<(&'static str, Value)> {
        let kind = &self.definition.names.kind;
        let mut operations = self.reads_and_writes(scope, "", "", &self.schema());
        if self.has("delete") {
            operations.push((
                "delete",
                self.operation(&Operation {
                    action: "delete",
                    id: ("delete", format!("{scope}{kind}")),
                    description: format!("delete a {kind}"),
                    parameters: DELETE,
                    body: Some((self.consumes(), meta("DeleteOptions"), false)),
                    answers: (&[200, 202], MEDIA_TYPES, meta("Status")),
                }),
            ));
        }
        operations
    }

    fn of_status(&self, scope: &str) -> Vec<(&'static str, Value)> {
        self.reads_and_writes(scope, "Status", "status of ", &self.schema())
    }

    fn of_scale(&self, scope: &str) -> Vec<(&'static str, Value)> {
        self.reads_and_writes(scope, "Scale", "scale of ", definitions::SCALE)
    }

    /// GET, PUT and PATCH, of the object or a part of it, whose schema is named.
    fn reads_and_writes(
        &self,
        scope: &str,
        end: &str,
        part: &str,
        schema: &str,
    ) -> Vec<(&'static str, Value)> {
        let kind = &self.definition.names.kind;
        let name = format!("{scope}{kind}{end}");
        let mut operations = vec![(
            "get",
            self.operation(&Operation {
                action: "get",
                id: ("read", name.clone()),
                description: format!("read {part}the specified {kind}"),
                parameters: if self.is_typed { &[] } else { READ },
                body: None,
                answers: (&[200], MEDIA_TYPES, schema.to_owned()),
            }),
        )];
        if self.has("update") {
            operations.push((
                "put",
                self.operation(&Operation {
                    action: "put",
                    id: ("replace", name.clone()),
                    description: format!("replace {part}the specified {kind}"),
                    parameters: WRITE,
                    body: Some((self.consumes(), schema.to_owned(), true)),
                    answers: (&[200, 201], MEDIA_TYPES, schema.to_owned()),
                }),
            ));
        }
        // Published even where it is not served: kubectl takes from it whether the kind knows dry runs and
        // the validation of fields, for creates too.
        let patches = patch::media_types(self.definition);
        let codes: &[u16] = if self.is_typed { &[200, 201] } else { &[200] };
        operations.push((
            "patch",
            self.operation(&Operation {
                action: "patch",
                id: ("patch", name),
                description: format!("partially update {part}the specified {kind}"),
                parameters: PATCH,
                body: Some((patches, meta("Patch"), true)),
                answers: (codes, MEDIA_TYPES, schema.to_owned()),
            }),
        ));
        operations
    }

    fn list(&self, name: &str) -> Value {
        let kind = &self.definition.names.kind;
        let (media_types, description) = if self.is_typed {
            (
                LIST_MEDIA_TYPES,
                format!("list or watch objects of kind {kind}"),
            )
        } else {
            (MEDIA_TYPES, format!("list objects of kind {kind}"))
        };
        self.operation(&Operation {
            action: "list",
            id: ("list", name.to_owned()),
            description,
            parameters: LIST,
            body: None,
            answers: (&[200], media_types, self.list_schema()),
        })
    }

    fn watch(&self, action: &str, name: &str) -> Value {
        let kind = &self.definition.names.kind;
        self.operation(&Operation {
            action,
            id: ("watch", name.to_owned()),
            description: format!(
                "watch changes to objects of kind {kind}. deprecated: use the 'watch' parameter with a list operation instead."
            ),
            parameters: LIST,
            body: None,
            answers: (&[200], LIST_MEDIA_TYPES, meta("WatchEvent")),
        })
    }

    fn operation(&self, operation: &Operation<'_>) -> Value {
        let (group, version) = (&self.definition.group, &self.version.name);
        let (codes, media_types, schema) = &operation.answers;
        let mut responses: Map<String, Value> = codes
            .iter()
            .map(|code| {
                let description = match code {
                    201 => "Created",
                    202 => "Accepted",
                    _ => "OK",
                };
                let content = content(media_types, schema);
                (
                    code.to_string(),
                    json!({"description": description, "content": content}),
                )
            })
            .collect();
        if !self.is_typed {
            responses.insert("401".into(), json!({"description": "Unauthorized"}));
        }
        let (verb, name) = &operation.id;
        let mut value = json!({
            "tags": [format!("{}_{version}", tag(group))],
            "description": operation.description,
            "operationId": format!("{verb}{}{}{name}", camel(group), camel(version)),
            "responses": responses,
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {
                "group": group, "version": version, "kind": self.definition.names.kind,
            },
        });
        if !operation.parameters.is_empty() {
            let parameters = operation.parameters.iter().map(|it| parameters::query(it));
            value["parameters"] = parameters.collect();
        }
        if let Some((media_types, schema, required)) = &operation.body {
            value["requestBody"] = json!({"content": content(media_types, schema)});
            if *required {
                value["requestBody"]["required"] = json!(true);
            }
        }
        value
    }

    /// Puts operations at a path below the version, with the parameters that all of them have.
    fn add(&self, paths: &mut Map<String, Value>, path: &str, operations: &[(&str, Value)]) {
        let mut shared = Vec::new();
        if path.contains("{name}") {
            let description = format!("name of the {}", self.definition.names.kind);
            shared.push(parameters::path("name", &description));
        }
        if path.contains("{namespace}") {
            let description = "object name and auth scope, such as for teams and projects";
            shared.push(parameters::path("namespace", description));
        }
        shared.push(parameters::query("pretty"));
        let mut item = json!({ "parameters": shared });
        for (method, operation) in operations {
            item[*method] = operation.clone();
        }
        paths.insert(format!("{}{path}", self.base), item);
    }

    fn consumes(&self) -> &'static [&'static str] {
        if self.is_typed { &["*/*"] } else { MEDIA_TYPES }
    }

    fn schema(&self) -> String {
        definitions::name(
            self.definition,
            &self.version.name,
            &self.definition.names.kind,
        )
    }

    fn list_schema(&self) -> String {
        let list_kind = &self.definition.names.list_kind;
        definitions::name(self.definition, &self.version.name, list_kind)
    }
}

fn meta(kind: &str) -> String {
    format!("{META}{kind}")
}

/// The same schema in each of the media types.
fn content(media_types: &[&str], schema: &str) -> Map<String, Value> {
    let reference = json!({"schema": reference(schema)});
    let content = media_types
        .iter()
        .map(|it| ((*it).to_owned(), reference.clone()));
    content.collect()
}

/// `yard.example.com` as `YardExampleCom`, the way ids of operations are made.
fn camel(name: &str) -> String {
    name.split(['.', '-'])
        .map(|part| match part.split_at_checked(1) {
            Some((first, rest)) => first.to_ascii_uppercase() + rest,
            None => String::new(),
        })
        .collect()
}

/// `yard.example.com` as `yardExampleCom`.
fn tag(group: &str) -> String {
    let camel = camel(group);
    match camel.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_lowercase() + rest,
        None => camel,
    }
}
