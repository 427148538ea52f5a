//! Names of the loads and figures that goals are about: parts write them, goals read them.

pub(crate) const GET: &str = "get, 1 KiB";
pub(crate) const LIST: &str = "list of 10,000";
pub(crate) const LIST_GZIP: &str = "list of 10,000, gzip";
pub(crate) const LIST_PAGE: &str = "list, limit=500";
pub(crate) const TABLE_AGAIN: &str = "list of 10,000 as Table, again";
pub(crate) const TABLE_FIRST: &str = "list of 10,000 as Table, the first time";
pub(crate) const LIST_MEMORY: &str = "more memory at the peak of a list of 10,000";
pub(crate) const CREATE: &str = "create, 1 KiB, with hooks";
pub(crate) const APPLY_MANAGED: &str = "apply, 10 KiB, five managers";
pub(crate) const PATCH_MANAGED: &str = "merge patch, 10 KiB, five managers";
pub(crate) const DURABLE: &str = "durable write, 1 KiB";
pub(crate) const WATCH_BURSTS: &str = "1,000 watches, 10 × 100, bursts of 64";
pub(crate) const WATCH_OWN: &str = "1,000 watches, 1,000 × 1, bursts of 64";
pub(crate) const WATCH_SINGLE: &str = "1,000 watches, 1,000 × 1, single events";
pub(crate) const WASM_VALIDATE: &str = "validate, 1 KiB, fresh instance";
pub(crate) const WASM_WRITE: &str = "default and validate, 1 KiB, one fresh instance";
pub(crate) const IDLE: &str = "memory when idle, one plugin";
pub(crate) const START: &str = "start to ready, no objects";
pub(crate) const START_MANY: &str = "start to ready, 1,000,000 objects";
pub(crate) const SCAN: &str = "scan and metadata parse, 1,000,000 objects";
pub(crate) const OBJECT_BYTES: &str = "stored bytes of an object";
pub(crate) const OBJECT_MEMORY: &str = "memory for each of 1,000,000 objects";
pub(crate) const PLUGINS_READY: &str = "500 precompiled plugins to ready";
pub(crate) const PLUGINS_BARE: &str = "500 compiled components mapped and linked";
pub(crate) const PLUGIN_MEMORY: &str = "memory for each of 500 plugins";
pub(crate) const METADATA_PARSE: &str = "metadata of 1 KiB parsed";
