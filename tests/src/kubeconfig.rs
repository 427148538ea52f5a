//! Kubeconfig files: read for the harness' own client, written for kubectl and the host.

use std::path::Path;

use anyhow::{Context as _, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

/// Where a server is and who asks it: one cluster and one user.
#[derive(Debug, Clone, Default)]
pub struct Kubeconfig {
    /// `https://host:port`
    pub server: String,
    pub ca_pem: String,
    /// What the server's certificate is for, if not for `server`. The harness' own client does not read it.
    pub server_name: Option<String>,
    /// Client certificate and key, PEM.
    pub certificate: Option<(String, String)>,
    pub token: Option<String>,
}

impl Kubeconfig {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let document: Value = serde_saphyr::from_str(&text)?;
        let cluster = &document["clusters"][0]["cluster"];
        let user = &document["users"][0]["user"];
        let certificate = match user.get("client-certificate-data") {
            Some(certificate) => Some((decode(certificate)?, decode(&user["client-key-data"])?)),
            None => None,
        };
        Ok(Self {
            server: cluster["server"]
                .as_str()
                .context("the kubeconfig has no server")?
                .to_owned(),
            ca_pem: decode(&cluster["certificate-authority-data"])?,
            server_name: cluster["tls-server-name"].as_str().map(str::to_owned),
            certificate,
            token: user["token"].as_str().map(str::to_owned),
        })
    }

    /// JSON is YAML: every reader of kubeconfig files takes it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut user = json!({});
        if let Some((certificate, key)) = &self.certificate {
            user["client-certificate-data"] = BASE64_STANDARD.encode(certificate).into();
            user["client-key-data"] = BASE64_STANDARD.encode(key).into();
        }
        if let Some(token) = &self.token {
            user["token"] = token.as_str().into();
        }
        let ca = BASE64_STANDARD.encode(&self.ca_pem);
        let mut cluster = json!({"server": self.server, "certificate-authority-data": ca});
        if let Some(name) = &self.server_name {
            cluster["tls-server-name"] = name.as_str().into();
        }
        let document = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}],
        });
        std::fs::write(path, serde_json::to_vec_pretty(&document)?)?;
        Ok(())
    }
}

fn decode(data: &Value) -> Result<String> {
    let data = data
        .as_str()
        .context("the kubeconfig must embed its certificates")?;
    Ok(String::from_utf8(BASE64_STANDARD.decode(data)?)?)
}
