//! The target `fields_v1`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| outrigger_fuzz::fields_v1::run(data));
