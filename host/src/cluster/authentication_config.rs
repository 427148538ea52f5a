//! Follows ConfigMap `kube-system/extension-apiserver-authentication`: whom kube-apiserver trusts.
//!
//! Needs the Role `extension-apiserver-authentication-reader` in `kube-system`. The server is not ready before
//! it has read the ConfigMap once; afterwards the last good one holds whatever becomes of it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use super::follow::follow_object;
use super::status::{ClusterStatus, Part};
use super::{code, explain};
use crate::authentication::DelegatedConfig;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

pub struct AuthenticationConfig {
    api: Api<ConfigMap>,
    part: Part,
}

impl AuthenticationConfig {
    pub fn new(client: Client, status: &ClusterStatus) -> Self {
        Self {
            api: Api::namespaced(client, NAMESPACE),
            part: status.required(
                "authentication-config",
                "ConfigMap kube-system/extension-apiserver-authentication is not read yet",
            ),
        }
    }

    /// Hands each good configuration to `publish`. Never returns.
    pub async fn run(&self, publish: impl Fn(DelegatedConfig)) {
        follow_object(self.api.clone(), NAME, |found| {
            let (config, problem) = judge(found);
            if let Some(config) = config {
                publish(config);
            }
            match problem {
                Some(problem) => self.part.fails(problem),
                None => self.part.works(),
            }
        })
        .await;
    }
}

/// What to trust from now on, if that is known, and what is wrong.
fn judge(
    found: Result<Option<ConfigMap>, kube::Error>,
) -> (Option<DelegatedConfig>, Option<String>) {
    let config_map = match found {
        Ok(Some(config_map)) => config_map,
        Ok(None) => {
            let problem = format!(
                "ConfigMap {NAMESPACE}/{NAME} does not exist; kube-apiserver makes it when it runs with --client-ca-file or --requestheader-client-ca-file"
            );
            return (None, Some(problem));
        }
        Err(err) => return (None, Some(unreadable(&err))),
    };
    let data: BTreeMap<String, String> = config_map.data.unwrap_or_default();
    match DelegatedConfig::from_config_map(&data) {
        Ok(config) => {
            let problem = config
                .request_header
                .is_none()
                .then(|| NO_AGGREGATION.into());
            (Some(config), problem)
        }
        Err(err) => {
            let problem = format!(
                "ConfigMap {NAMESPACE}/{NAME} cannot be used: {}",
                err.to_string().replace('\n', "; ")
            );
            (None, Some(problem))
        }
    }
}

const NO_AGGREGATION: &str = "kube-apiserver runs without its aggregation layer, so that no request can come through it: \
    start it with --requestheader-client-ca-file, --requestheader-allowed-names, \
    --requestheader-username-headers=X-Remote-User, --requestheader-group-headers=X-Remote-Group, \
    --requestheader-extra-headers-prefix=X-Remote-Extra-, --proxy-client-cert-file and --proxy-client-key-file, \
    and with --enable-aggregator-routing=true where no kube-proxy runs beside it";

fn unreadable(err: &kube::Error) -> String {
    let text = explain(err);
    if code(err) == Some(403) {
        format!(
            "create a RoleBinding in namespace {NAMESPACE} of Role extension-apiserver-authentication-reader to this server's user (deploy/base/rbac.yaml has it): {text}"
        )
    } else {
        format!("ConfigMap {NAMESPACE}/{NAME} cannot be read: {text}")
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::certificates::CertificateAuthority;

    fn check(data: Option<&[(&str, &str)]>, is_published: bool, expected: Expect) {
        let config_map = data.map(|data| ConfigMap {
            data: Some(
                data.iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            ..ConfigMap::default()
        });
        let (config, problem) = judge(Ok(config_map));
        assert_eq!(config.is_some(), is_published);
        expected.assert_eq(&problem.unwrap_or_default());
    }

    fn ca() -> String {
        let ca = CertificateAuthority::generate("front-proxy-ca").expect("a CA");
        ca.certificate_pem().to_owned()
    }

    #[test]
    fn takes_what_kube_apiserver_writes() {
        let data = [
            ("requestheader-client-ca-file", &*ca()),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
            (
                "requestheader-extra-headers-prefix",
                r#"["X-Remote-Extra-"]"#,
            ),
        ];
        check(Some(&data), true, expect![""]);
    }

    #[test]
    fn names_the_flags_of_the_aggregation_layer() {
        check(
            Some(&[("client-ca-file", &*ca())]),
            true,
            expect![
                "kube-apiserver runs without its aggregation layer, so that no request can come through it: start it with --requestheader-client-ca-file, --requestheader-allowed-names, --requestheader-username-headers=X-Remote-User, --requestheader-group-headers=X-Remote-Group, --requestheader-extra-headers-prefix=X-Remote-Extra-, --proxy-client-cert-file and --proxy-client-key-file, and with --enable-aggregator-routing=true where no kube-proxy runs beside it"
            ],
        );
    }

    #[test]
    fn keeps_the_last_good_one() {
        check(
            None,
            false,
            expect![
                "ConfigMap kube-system/extension-apiserver-authentication does not exist; kube-apiserver makes it when it runs with --client-ca-file or --requestheader-client-ca-file"
            ],
        );
        let (config, problem) = judge(Ok(Some(ConfigMap {
            data: Some(BTreeMap::from([(
                "requestheader-client-ca-file".to_owned(),
                "garbage".to_owned(),
            )])),
            ..ConfigMap::default()
        })));
        assert!(config.is_none());
        let problem = problem.unwrap_or_default();
        assert!(problem.starts_with(
            "ConfigMap kube-system/extension-apiserver-authentication cannot be used: "
        ));
        assert!(!problem.contains('\n'));
    }
}
