//! What must be done so that the cluster's APIService objects are those wanted. Pure.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceSpec, ServiceReference,
};

use crate::api::GroupVersion;
use crate::api::version_order;
use crate::cluster::leadership::Leader;

/// Says who keeps an object, as other tools of Kubernetes do.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "outrigger");

/// `namespace/name` of the Service: tells two installations in one cluster apart.
const SERVICE: &str = "outrigger.dev/service";

/// Groups of users' own are asked after those of Kubernetes, whose own have 17,000 and more.
const GROUP_PRIORITY: i32 = 1_000;

/// Of a group's last version; each one before it has one more. kube-apiserver takes 1 to 1,000.
const FIRST_VERSION_PRIORITY: i32 = 100;
const MAX_VERSION_PRIORITY: i32 = 1_000;

/// The Service that leads to this server, as kube-apiserver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Create(APIService),
    /// Carries the resourceVersion that it was decided upon.
    Replace(APIService),
    Delete {
        name: String,
        uid: Option<String>,
        resource_version: Option<String>,
    },
}

impl Action {
    /// Its verb and the object's name.
    pub(super) fn shown(&self) -> (&'static str, String) {
        let name = |it: &APIService| it.metadata.name.clone().unwrap_or_default();
        match self {
            Self::Create(it) => ("create", name(it)),
            Self::Replace(it) => ("update", name(it)),
            Self::Delete { name, .. } => ("delete", name.clone()),
        }
    }
}

/// Why these are not done here; `None` where they are, or there are none.
pub(super) fn left_to(leader: &Leader, actions: &[Action]) -> Option<String> {
    if *leader == Leader::Ourselves || actions.is_empty() {
        return None;
    }
    let shown = actions.iter().map(Action::shown);
    let shown: Vec<String> = shown.map(|(verb, name)| format!("{verb} {name}")).collect();
    Some(format!(
        "to {} is the leader's, which is {leader}: it registers what it serves itself, and a replica that serves something else waits until it leads",
        shown.join(", ")
    ))
}

pub(super) fn name(of: &GroupVersion) -> String {
    format!("{}.{}", of.version, of.group)
}

/// By name; priorities follow the order of versions within each group.
pub(super) fn wanted(
    served: &[GroupVersion],
    service: &Service,
    ca_bundle: &str,
) -> BTreeMap<String, APIServiceSpec> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for it in served {
        groups.entry(&it.group).or_default().push(&it.version);
    }
    let mut specs = BTreeMap::new();
    for (group, mut versions) in groups {
        versions.sort_by(|a, b| version_order::ascending(a, b));
        versions.dedup();
        for (version, priority) in versions.into_iter().zip(FIRST_VERSION_PRIORITY..) {
            let spec = APIServiceSpec {
                ca_bundle: Some(ByteString(ca_bundle.as_bytes().to_vec())),
                group: Some(group.to_owned()),
                group_priority_minimum: GROUP_PRIORITY,
                // Left out rather than false: the server's certificate is always verified.
                insecure_skip_tls_verify: None,
                service: Some(ServiceReference {
                    name: Some(service.name.clone()),
                    namespace: Some(service.namespace.clone()),
                    port: Some(i32::from(service.port)),
                }),
                version: Some(version.to_owned()),
                version_priority: priority.min(MAX_VERSION_PRIORITY),
            };
            specs.insert(name(&GroupVersion::new(group, version)), spec);
        }
    }
    specs
}

/// Objects without our mark are left alone, wanted or not.
pub(super) fn plan(
    wanted: &BTreeMap<String, APIServiceSpec>,
    actual: &BTreeMap<String, APIService>,
    service: &Service,
) -> Vec<Action> {
    let mut actions = Vec::new();
    for (name, object) in actual {
        let is_going = object.metadata.deletion_timestamp.is_some();
        if is_going || !is_ours(object, service) {
            continue;
        }
        match wanted.get(name) {
            Some(spec) if is_same(spec, object.spec.as_ref()) => {}
            Some(spec) => actions.push(Action::Replace(APIService {
                spec: Some(spec.clone()),
                ..object.clone()
            })),
            None => actions.push(Action::Delete {
                name: name.clone(),
                uid: object.metadata.uid.clone(),
                resource_version: object.metadata.resource_version.clone(),
            }),
        }
    }
    for (name, spec) in wanted {
        if !actual.contains_key(name) {
            actions.push(Action::Create(marked(name, spec, service)));
        }
    }
    actions
}

/// Why an existing object of this name is not ours to change; `None` where it is ours.
pub(super) fn foreign(name: &str, object: &APIService, service: &Service) -> Option<String> {
    if is_ours(object, service) {
        return None;
    }
    let Some(target) = object.spec.as_ref().and_then(|it| it.service.as_ref()) else {
        return Some(format!(
            "APIService {name} is kube-apiserver's own (built in, or of a CustomResourceDefinition): serve another group or version, or remove the definition"
        ));
    };
    if is_managed(object)
        && let Some(other) = annotation(object)
    {
        return Some(format!(
            "APIService {name} belongs to the installation of Outrigger at Service {other}: serve the plugin at one of the two"
        ));
    }
    let target = format!(
        "{}/{}",
        target.namespace.as_deref().unwrap_or_default(),
        target.name.as_deref().unwrap_or_default()
    );
    Some(format!(
        "APIService {name} exists and leads to Service {target}, made by somebody else: delete it, and this server registers its own"
    ))
}

/// Why kube-apiserver sends no requests for this one; `None` where it does, or has not tried yet.
pub(super) fn unavailable(name: &str, object: &APIService) -> Option<String> {
    let conditions = object.status.as_ref()?.conditions.as_ref()?;
    let available = conditions.iter().find(|it| it.type_ == "Available")?;
    (available.status == "False").then(|| {
        let reason = available.reason.as_deref().unwrap_or_default();
        let message = available.message.as_deref().unwrap_or_default();
        format!(
            "kube-apiserver does not reach this server for APIService {name}: {reason}: {message}"
        )
    })
}

fn marked(name: &str, spec: &APIServiceSpec, service: &Service) -> APIService {
    let (label, value) = MANAGED_BY;
    APIService {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(label.to_owned(), value.to_owned())])),
            annotations: Some(BTreeMap::from([(SERVICE.to_owned(), mark(service))])),
            ..ObjectMeta::default()
        },
        spec: Some(spec.clone()),
        status: None,
    }
}

fn mark(service: &Service) -> String {
    format!("{}/{}", service.namespace, service.name)
}

fn is_ours(object: &APIService, service: &Service) -> bool {
    is_managed(object) && annotation(object).is_some_and(|it| *it == mark(service))
}

fn is_managed(object: &APIService) -> bool {
    let (label, value) = MANAGED_BY;
    let labels = object.metadata.labels.as_ref();
    labels.is_some_and(|it| it.get(label).is_some_and(|it| it == value))
}

fn annotation(object: &APIService) -> Option<&String> {
    object.metadata.annotations.as_ref()?.get(SERVICE)
}

/// kube-apiserver leaves false out or not, as it likes.
fn is_same(wanted: &APIServiceSpec, actual: Option<&APIServiceSpec>) -> bool {
    actual.is_some_and(|actual| {
        let actual = APIServiceSpec {
            insecure_skip_tls_verify: actual.insecure_skip_tls_verify.filter(|it| *it),
            ..actual.clone()
        };
        *wanted == actual
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
        APIServiceCondition, APIServiceStatus,
    };

    use super::*;

    fn service() -> Service {
        Service {
            namespace: "outrigger".into(),
            name: "outrigger".into(),
            port: 443,
        }
    }

    fn served(versions: &[&str]) -> BTreeMap<String, APIServiceSpec> {
        let served: Vec<_> = versions
            .iter()
            .map(|it| GroupVersion::new("g.example.com", *it))
            .collect();
        wanted(&served, &service(), "PEM")
    }

    /// What the cluster has after the actions were done.
    fn done(wanted: &BTreeMap<String, APIServiceSpec>) -> BTreeMap<String, APIService> {
        wanted
            .iter()
            .map(|(name, spec)| (name.clone(), marked(name, spec, &service())))
            .collect()
    }

    fn check(
        wanted: &BTreeMap<String, APIServiceSpec>,
        actual: &BTreeMap<String, APIService>,
        expected: Expect,
    ) {
        let shown: Vec<String> = plan(wanted, actual, &service())
            .into_iter()
            .map(|action| match action {
                Action::Create(it) => {
                    let spec = it.spec.expect("a spec");
                    format!(
                        "create {} {}",
                        it.metadata.name.expect("a name"),
                        spec.version_priority
                    )
                }
                Action::Replace(it) => {
                    format!("replace {}", serde_json::to_string(&it).expect("JSON"))
                }
                Action::Delete { name, .. } => format!("delete {name}"),
            })
            .collect();
        expected.assert_eq(&shown.join("\n"));
    }

    #[test]
    fn creates_what_is_missing_in_the_order_of_versions() {
        check(
            &served(&["v1beta1", "v1", "v1alpha1", "v2"]),
            &BTreeMap::new(),
            expect![[r#"
                create v1.g.example.com 102
                create v1alpha1.g.example.com 100
                create v1beta1.g.example.com 101
                create v2.g.example.com 103"#]],
        );
    }

    #[test]
    fn does_nothing_when_all_is_well() {
        let wanted = served(&["v1"]);
        let mut actual = done(&wanted);
        for object in actual.values_mut() {
            let spec = object.spec.as_mut().expect("a spec");
            spec.insecure_skip_tls_verify = Some(false);
        }
        check(&wanted, &actual, expect![""]);
    }

    #[test]
    fn puts_drift_right_and_keeps_the_labels_of_others() {
        let wanted = served(&["v1"]);
        let mut actual = done(&wanted);
        for object in actual.values_mut() {
            let spec = object.spec.as_mut().expect("a spec");
            spec.ca_bundle = None;
            spec.insecure_skip_tls_verify = Some(true);
            let labels = object.metadata.labels.get_or_insert_default();
            labels.insert("team".into(), "a".into());
            object.metadata.resource_version = Some("7".into());
        }
        check(
            &wanted,
            &actual,
            expect![[
                r#"replace {"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"annotations":{"outrigger.dev/service":"outrigger/outrigger"},"labels":{"app.kubernetes.io/managed-by":"outrigger","team":"a"},"name":"v1.g.example.com","resourceVersion":"7"},"spec":{"caBundle":"UEVN","group":"g.example.com","groupPriorityMinimum":1000,"service":{"name":"outrigger","namespace":"outrigger","port":443},"version":"v1","versionPriority":100}}"#
            ]],
        );
    }

    #[test]
    fn deletes_only_its_own() {
        let mut actual = done(&served(&["v1", "v2", "v3"]));
        let hand_made = actual.get_mut("v2.g.example.com").expect("wanted above");
        hand_made.metadata.labels = None;
        let other = actual.get_mut("v3.g.example.com").expect("wanted above");
        other.metadata.annotations = Some(BTreeMap::from([(
            SERVICE.to_owned(),
            "b/outrigger".to_owned(),
        )]));
        check(
            &BTreeMap::new(),
            &actual,
            expect!["delete v1.g.example.com"],
        );
        check(
            &served(&["v2", "v3"]),
            &actual,
            expect!["delete v1.g.example.com"],
        );
    }

    #[test]
    fn waits_for_one_that_is_being_deleted() {
        let wanted = served(&["v1"]);
        let mut actual = done(&BTreeMap::new());
        actual.extend(done(&wanted));
        for object in actual.values_mut() {
            object.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                    k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
                ));
        }
        check(&wanted, &actual, expect![""]);
        check(&BTreeMap::new(), &actual, expect![""]);
    }

    #[test]
    fn passes_on_why_it_is_not_reached() {
        let mut object = marked("v1.g", &served(&["v1"])["v1.g.example.com"], &service());
        assert_eq!(unavailable("v1.g", &object), None);
        let mut condition = APIServiceCondition {
            type_: "Available".into(),
            status: "False".into(),
            reason: Some("EndpointsNotFound".into()),
            message: Some("cannot find endpointslices".into()),
            ..APIServiceCondition::default()
        };
        let mut with = |condition: &APIServiceCondition| {
            object.status = Some(APIServiceStatus {
                conditions: Some(vec![condition.clone()]),
            });
            unavailable("v1.g", &object).unwrap_or_default()
        };
        expect!["kube-apiserver does not reach this server for APIService v1.g: EndpointsNotFound: cannot find endpointslices"]
            .assert_eq(&with(&condition));
        condition.status = "True".into();
        expect![""].assert_eq(&with(&condition));
    }

    #[test]
    fn leaves_to_the_leader_what_is_to_be_done() {
        let wanted = served(&["v1"]);
        let actions = plan(&wanted, &BTreeMap::new(), &service());
        assert_eq!(left_to(&Leader::Ourselves, &actions), None);
        assert_eq!(left_to(&Leader::Unknown, &[]), None);
        expect!["to create v1.g.example.com is the leader's, which is replica b_1: it registers what it serves itself, and a replica that serves something else waits until it leads"]
            .assert_eq(&left_to(&Leader::Other("b_1".into()), &actions).unwrap_or_default());
        expect!["to create v1.g.example.com is the leader's, which is no replica: it registers what it serves itself, and a replica that serves something else waits until it leads"]
            .assert_eq(&left_to(&Leader::Unknown, &actions).unwrap_or_default());
    }

    #[test]
    fn says_whose_a_foreign_one_is() {
        let mut object = marked("v1.g", &served(&["v1"])["v1.g.example.com"], &service());
        assert_eq!(foreign("v1.g", &object, &service()), None);
        let elsewhere = Service {
            namespace: "b".into(),
            ..service()
        };
        expect!["APIService v1.g belongs to the installation of Outrigger at Service outrigger/outrigger: serve the plugin at one of the two"]
            .assert_eq(&foreign("v1.g", &object, &elsewhere).unwrap_or_default());
        object.metadata.labels = None;
        expect!["APIService v1.g exists and leads to Service outrigger/outrigger, made by somebody else: delete it, and this server registers its own"]
            .assert_eq(&foreign("v1.g", &object, &service()).unwrap_or_default());
        object.spec.as_mut().expect("a spec").service = None;
        expect!["APIService v1.g is kube-apiserver's own (built in, or of a CustomResourceDefinition): serve another group or version, or remove the definition"]
            .assert_eq(&foreign("v1.g", &object, &service()).unwrap_or_default());
    }
}
