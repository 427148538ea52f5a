//! What went wrong between here and etcd, in words for an operator, and what it means for a request.

use std::error::Error;

use tonic::{Code, ConnectError, Status};

use super::Options;
use crate::storage::Revision;

/// What a failure means for the request that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It was not carried out, and may be elsewhere or later.
    NotDone,
    /// It may have been carried out, or may be yet.
    Unknown,
    /// It was not carried out, and the token is to be asked for again.
    NoToken,
    /// It was not carried out, and will not be until somebody changes something.
    Refused,
    /// etcd's database is full.
    NoSpace,
    /// The revision that it is about is compacted.
    Compacted,
    /// The request itself is too much for this etcd.
    TooLarge,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub(super) struct Failure {
    pub(super) effect: Effect,
    /// One line that says what to do.
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(effect: Effect, text: impl Into<String>) -> Self {
        Self {
            effect,
            text: text.into(),
        }
    }

    /// Whether the next try may fare better, for a request that changes nothing.
    pub(super) fn is_passing(&self) -> bool {
        matches!(
            self.effect,
            Effect::NotDone | Effect::Unknown | Effect::NoToken
        )
    }

    pub(super) fn of(status: &Status, server: &str, options: &Options) -> Self {
        if let Some(connecting) = connect_error(status) {
            return Self::new(Effect::NotDone, connection_text(server, &connecting));
        }
        let said = status.message();
        let new = |effect, text: String| Self::new(effect, text);
        let has = |part: &str| said.contains(part);
        match status.code() {
            Code::Unauthenticated => new(Effect::NoToken, denied(server, options)),
            Code::InvalidArgument if has("revision of auth store is old") => {
                new(Effect::NoToken, denied(server, options))
            }
            Code::InvalidArgument if has("authentication failed") || has("user name is empty") => {
                new(Effect::Refused, denied(server, options))
            }
            Code::PermissionDenied => new(Effect::Refused, forbidden(server, options)),
            Code::InvalidArgument if has("too many operations") => new(
                Effect::TooLarge,
                "a batch has more writes than etcd takes in one transaction: raise its --max-txn-ops".into(),
            ),
            Code::InvalidArgument if has("request is too large") => new(
                Effect::TooLarge,
                "the object is larger than etcd takes (1.5 MiB by default): raise its --max-request-bytes".into(),
            ),
            Code::ResourceExhausted if has("database space exceeded") => new(
                Effect::NoSpace,
                format!(
                    "the database of etcd at {server} is full (alarm NOSPACE): compact and defragment it or raise its \
                     --quota-backend-bytes, then `etcdctl alarm disarm`; writes go on by themselves then"
                ),
            ),
            Code::ResourceExhausted if has("too many requests") => new(
                Effect::NotDone,
                format!("etcd at {server} has too many requests to do"),
            ),
            Code::OutOfRange if has("compacted") => new(
                Effect::Compacted,
                format!("the history that is asked for is compacted in etcd at {server}"),
            ),
            Code::Unavailable if has("no leader") => new(Effect::NotDone, no_leader(server)),
            Code::DataLoss => new(
                Effect::Refused,
                format!("etcd at {server} says that its data differ between members (alarm CORRUPT): mend it"),
            ),
            Code::InvalidArgument | Code::FailedPrecondition | Code::Unimplemented => new(
                Effect::Refused,
                format!("etcd at {server} refuses the request: {said}"),
            ),
            _ if has("fatal alert") => {
                new(Effect::NotDone, connection_text(server, &chain(status)))
            }
            _ if status.source().is_some() => new(
                Effect::Unknown,
                format!(
                    "the connection to etcd at {server} was lost ({}): check that it runs and can be reached{}",
                    chain(status),
                    // A member that refuses the handshake may be gone before its reason comes.
                    match server.starts_with("https") && options.identity.is_none() {
                        true => ", and whether it wants a client certificate (--etcd-certfile, --etcd-keyfile)",
                        false => "",
                    }
                ),
            ),
            _ => new(
                Effect::Unknown,
                format!("etcd at {server} does not answer as it should: {}", chain(status)),
            ),
        }
    }

    /// Revisions were given to clients that etcd will give to other changes.
    pub(super) fn went_back(from: Revision, to: Revision) -> Self {
        Self::new(
            Effect::Refused,
            format!(
                "etcd went back from revision {from} to {to}: restore snapshots with `etcdutl snapshot restore \
                 --bump-revision 1000000000 --mark-compacted`"
            ),
        )
    }

    pub(super) fn timeout(server: &str) -> Self {
        Self::new(
            Effect::Unknown,
            format!(
                "etcd at {server} does not answer: check that a majority of its members runs and can be reached"
            ),
        )
    }

    /// Why a watch was ended by etcd.
    pub(super) fn of_cancelled(reason: &str, server: &str, options: &Options) -> Self {
        match reason {
            it if it.contains("permission denied") => {
                Self::new(Effect::Refused, forbidden(server, options))
            }
            it if it.contains("auth token") => Self::new(Effect::NoToken, denied(server, options)),
            it if it.contains("no leader") => Self::new(Effect::NotDone, no_leader(server)),
            it => Self::new(
                Effect::NotDone,
                format!("etcd at {server} ended the watch: {it}"),
            ),
        }
    }
}

fn denied(server: &str, options: &Options) -> String {
    match &options.credentials {
        Some(credentials) => format!(
            "etcd at {server} does not take the user {:?} with the password in {}: correct --etcd-username, \
             --etcd-password-file, or the user",
            credentials.username,
            credentials.password_file.display()
        ),
        None => format!(
            "etcd at {server} wants a user: give --etcd-username and --etcd-password-file, or a client certificate \
             with --etcd-certfile and --etcd-keyfile"
        ),
    }
}

fn forbidden(server: &str, options: &Options) -> String {
    format!(
        "the user at etcd at {server} lacks rights: grant a role of it readwrite on the prefix {} \
         (`etcdctl role grant-permission ROLE readwrite --prefix {}/`)",
        options.prefix, options.prefix
    )
}

fn no_leader(server: &str) -> String {
    format!(
        "etcd at {server} has no leader: see that a majority of its members runs and that they reach each other"
    )
}

fn connection_text(server: &str, why: &str) -> String {
    let has = |part: &str| why.contains(part);
    if has("UnknownIssuer") || has("BadSignature") {
        return format!(
            "the certificate of etcd at {server} is not signed by a CA in --etcd-cafile: give the CA that signed it"
        );
    }
    if has("NotValidForName") || has("not valid for name") {
        return format!(
            "the certificate of etcd at {server} is not for that name: name it in --etcd-servers as its certificate does"
        );
    }
    if has("invalid peer certificate") {
        return format!("the certificate of etcd at {server} is not valid ({why}): replace it");
    }
    if has("fatal alert") {
        return format!(
            "etcd at {server} does not take this server's certificate ({why}): give one that its --trusted-ca-file \
             signed, with --etcd-certfile and --etcd-keyfile"
        );
    }
    format!("etcd at {server} cannot be reached ({why}): check --etcd-servers, and that it runs")
}

/// The text of what kept a request from being sent.
fn connect_error(status: &Status) -> Option<String> {
    let mut source = status.source();
    while let Some(error) = source {
        if error.downcast_ref::<ConnectError>().is_some() {
            return Some(texts(error));
        }
        source = error.source();
    }
    None
}

fn chain(status: &Status) -> String {
    match status.source() {
        Some(source) => texts(source),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}

/// An error's text and those of its causes, without repetitions.
fn texts(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}
