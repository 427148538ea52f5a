//! `outrigger store copy`: all records of one store into another, also of another engine.

use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, ensure};

use crate::cli::progress::shown;
use crate::cli::serve::EtcdArgs;
use crate::server::{block_on, etcd_options};
use crate::storage::copy::{PAGE, Tally, Walk};
use crate::storage::etcd::{self, EtcdStorage};
use crate::storage::sqlite::{Export, Import, Progress};
use crate::storage::{Item, Revision, Storage};

/// Copy a store into another one, also of another engine; the servers of both must be stopped.
///
/// Reads all records, writes them, reads them again where they are now, and compares. The copy goes on after the
/// revisions of both stores: no resourceVersion goes back, and watches from before are answered 410 and list again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    outrigger store copy --from sqlite:./data --to sqlite:/mnt/larger/data\n  \
    outrigger store copy --from sqlite:./monday.sqlite3 --to sqlite:./data --replace\n  \
    outrigger store copy --from sqlite:./data --to etcd --etcd-servers https://etcd:2379 --etcd-cafile ca.crt \\\n    \
    --etcd-certfile etcd.crt --etcd-keyfile etcd.key")]
pub(super) struct Args {
    /// `sqlite:` and the data folder of a server, or a file that `outrigger backup` made; or `etcd`.
    #[arg(long, value_name = "STORE")]
    from: Place,
    /// `sqlite:` and a data folder; or `etcd`.
    #[arg(long, value_name = "STORE")]
    to: Place,
    /// Replace the store that is in the data folder; its file is kept beside the new one, as
    /// store.sqlite3.replaced-REVISION. A store in etcd is not replaced: delete it, or name another prefix.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    etcd: EtcdArgs,
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Sqlite(PathBuf),
    Etcd,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            None if text == "etcd" => Ok(Self::Etcd),
            _ => Err("expected sqlite:FOLDER, e.g. sqlite:./data, or etcd".to_owned()),
        }
    }
}

enum Source {
    Sqlite(Export),
    Etcd(Box<EtcdStorage>, Walk),
}

enum Target {
    Sqlite(Import),
    Etcd(Box<etcd::Import>),
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let said = shown(|progress| block_on(self.copy(progress)))?;
        write!(std::io::stdout().lock(), "{said}")?;
        Ok(())
    }

    /// What a person is told in the end.
    async fn copy(self, progress: &mut dyn FnMut(Progress)) -> anyhow::Result<String> {
        let Self {
            from,
            to,
            replace,
            etcd,
        } = self;
        ensure!(
            (&from, &to) != (&Place::Etcd, &Place::Etcd),
            "one of the two stores must be a folder: copy into one first"
        );
        let needs_etcd = [&from, &to].contains(&&Place::Etcd);
        let options = etcd.into_config(None).map(etcd_options);
        ensure!(
            options.is_some() == needs_etcd,
            "--etcd-servers names the etcd of --from etcd or --to etcd: give both or none"
        );
        let mut from = Source::open(from, options.clone()).await?;
        let next_revision = from.next_revision();
        let shown = match (&to, &options) {
            (Place::Etcd, Some(it)) => {
                format!("{} in etcd at {}", it.prefix, it.servers.join(", "))
            }
            (Place::Sqlite(folder), _) => folder.join("store").display().to_string(),
            (Place::Etcd, None) => String::new(),
        };
        let mut to = Target::open(to, options, replace, next_revision).await?;
        let mut tally = Tally::default();
        loop {
            let items = from.next().await?;
            if items.is_empty() {
                break;
            }
            items.iter().for_each(|it| tally.add(it));
            to.put(&items).await?;
            progress(Progress {
                step: "copying records",
                done: tally.records,
                of: from.records(tally.records),
            });
        }
        ensure!(
            tally.records > 0,
            "there is nothing to copy: --from has no records"
        );
        from.check(&tally).await?;
        let revision = to.finish(next_revision, &tally, progress).await?;
        Ok(format!(
            "{shown}\nRevision:   {revision}\nRecords:    {}\nBytes:      {}\nChecksum:   {}, the same in both\n",
            tally.records,
            tally.bytes,
            tally.checksum()
        ))
    }
}

impl Source {
    async fn open(place: Place, options: Option<etcd::Options>) -> anyhow::Result<Self> {
        Ok(match place {
            Place::Sqlite(file) if file.is_file() => Self::Sqlite(Export::of_file(&file)?),
            Place::Sqlite(folder) => Self::Sqlite(Export::of_folder(&folder.join("store"))?),
            Place::Etcd => {
                let options = options.context("no etcd is named")?;
                let storage = EtcdStorage::connect_existing(options).await?;
                Self::Etcd(Box::new(storage), Walk::default())
            }
        })
    }

    /// The lowest revision that a copy may begin at.
    fn next_revision(&self) -> Revision {
        match self {
            Self::Sqlite(export) => export.next_revision(),
            Self::Etcd(storage, _) => Revision(storage.current_revision().0 + 1),
        }
    }

    /// How many there are, as far as is known once `done` of them were read.
    fn records(&self, done: u64) -> u64 {
        match self {
            Self::Sqlite(export) => export.records(),
            Self::Etcd(..) => done,
        }
    }

    /// The next records; none at the end.
    async fn next(&mut self) -> anyhow::Result<Vec<Item>> {
        match self {
            Self::Sqlite(export) => Ok(export.next_items()?),
            Self::Etcd(storage, walk) => {
                while let Some((prefix, start)) = walk.page() {
                    let page = storage.list(prefix, &start, PAGE).await?;
                    walk.seen(&page);
                    if !page.is_empty() {
                        return Ok(page);
                    }
                }
                Ok(Vec::new())
            }
        }
    }

    /// Nothing keeps servers from writing into an etcd: it is read again.
    async fn check(&mut self, tally: &Tally) -> anyhow::Result<()> {
        let Self::Etcd(_, walk) = self else {
            return Ok(());
        };
        *walk = Walk::default();
        let mut again = Tally::default();
        loop {
            let items = self.next().await?;
            if items.is_empty() {
                break;
            }
            items.iter().for_each(|it| again.add(it));
        }
        ensure!(
            again == *tally,
            "the store in etcd was written meanwhile: stop all servers that use it, and copy again"
        );
        Ok(())
    }
}

impl Target {
    async fn open(
        place: Place,
        options: Option<etcd::Options>,
        is_replacing: bool,
        next_revision: Revision,
    ) -> anyhow::Result<Self> {
        Ok(match place {
            Place::Sqlite(folder) => {
                Self::Sqlite(Import::into_folder(&folder.join("store"), is_replacing)?)
            }
            Place::Etcd => {
                ensure!(
                    !is_replacing,
                    "--replace is for a data folder: name an empty --etcd-prefix"
                );
                let after = Revision(next_revision.0.saturating_sub(1));
                let options = options.context("no etcd is named")?;
                Self::Etcd(Box::new(etcd::Import::begin(options, after).await?))
            }
        })
    }

    async fn put(&mut self, items: &[Item]) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(import) => Ok(import.put(items)?),
            Self::Etcd(import) => Ok(import.put(items).await?),
        }
    }

    /// Returns the revision that the copy is at.
    async fn finish(
        self,
        next_revision: Revision,
        tally: &Tally,
        progress: &mut dyn FnMut(Progress),
    ) -> anyhow::Result<Revision> {
        Ok(match self {
            Self::Sqlite(import) => import.finish(next_revision, tally, progress)?.revision,
            Self::Etcd(import) => import.finish(tally).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_where_a_store_is() {
        assert_eq!("sqlite:./a:b".parse(), Ok(Place::Sqlite("./a:b".into())));
        assert_eq!("etcd".parse(), Ok(Place::Etcd));
        for text in ["", "./data", "sqlite:", "etcd:x", "postgres:x"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
