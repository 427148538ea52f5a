//! Behind a real kube-apiserver, from the YAML in `deploy/`.
//!
//! One cluster for all tests: they run in the order of [`run`], each on what the ones before it left, as an
//! operator's day goes. `OUTRIGGER_PEERS` names the folder with etcd, kube-apiserver and kubectl; `cargo xtask
//! test --only e2e` finds or builds them and sets it. Without it nothing runs, and that is said; with `CI=true`
//! it is a failure. `OUTRIGGER_CONTROLLER_MANAGER` names kube-controller-manager, if it is not in that folder; the
//! tests of controllers need it too.

#![expect(
    clippy::print_stdout,
    reason = "a test runner answers on standard output"
)]

mod controllers;
mod discovery;
mod linearizability;
mod own_certificate;
mod registration;
mod replicas;
mod requests;
mod rolling;
mod setup;
mod survival;

use std::process::ExitCode;

use outrigger_tests::installed::Installed;
use outrigger_tests::tally::Tally;
use outrigger_tests::{cluster, controller_manager, process};

const TESTS: usize = 19 + CONTROLLER_TESTS;
const CONTROLLER_TESTS: usize = 7;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args().any(|it| it == "--list") {
        return ExitCode::SUCCESS;
    }
    if cluster::peers().is_none() {
        println!(
            "e2e needs etcd, kube-apiserver and kubectl: `cargo xtask test --only e2e` finds or builds them"
        );
        let mut tally = Tally::default();
        tally.leave_out(TESTS);
        return tally.finish();
    }
    let _ = process::keep_logs();
    let mut tally = Tally::default();
    run(&mut tally).await;
    tally.finish()
}

async fn run(tally: &mut Tally) {
    let name = "tells_clearly_when_aggregation_is_not_enabled";
    tally.test(name, setup::without_aggregation()).await;

    let name = "two_replicas_on_one_etcd_serve_as_one_and_outlive_each_other";
    tally.test(name, replicas::two()).await;

    let name = "two_replicas_are_replaced_one_after_the_other_without_a_failed_request";
    tally.test(name, rolling::replace_two()).await;

    let name =
        "clients_of_two_replicas_see_one_order_of_all_changes_over_cuts_and_restarts_of_etcd";
    tally
        .test(name, linearizability::over_cuts_and_restarts())
        .await;

    let name = "sets_up_an_extension_api_server_step_by_step";
    let Some(mut installed) = tally.needed(name, setup::fifteen_steps()).await else {
        tally.failed += TESTS - 5;
        println!("the other {} tests need it", TESTS - 5);
        return;
    };
    let it = &mut installed;
    let name = "is_discovered_like_any_other_group";
    tally.test(name, discovery::is_discovered(it)).await;
    let name = "explains_its_resources";
    tally.test(name, discovery::is_explained(it)).await;
    let name = "serves_every_verb_to_a_user_with_rights";
    tally.test(name, requests::every_verb(it)).await;
    let name = "refuses_stale_writes";
    tally.test(name, requests::stale_writes(it)).await;
    let name = "refuses_users_without_rights_by_kube_apiserver_and_by_itself";
    tally.test(name, requests::forbidden(it)).await;
    let name = "sees_users_as_kube_apiserver_impersonates_them";
    tally.test(name, requests::impersonation(it)).await;
    let name = "a_dropped_plugin_is_registered_and_a_removed_one_unregistered_first";
    tally.test(name, registration::drop_and_remove(it)).await;
    let name = "a_foreign_api_service_is_left_alone";
    tally.test(name, registration::foreign(it)).await;
    let name = "a_changed_api_service_is_mended";
    tally.test(name, registration::mended(it)).await;
    let name = "a_restart_loses_nothing_and_watches_resume";
    tally.test(name, survival::host_restart(it)).await;
    let name = "a_rolling_update_hands_the_store_over_and_loses_nothing";
    tally.test(name, rolling::hand_over(it)).await;
    let name = "two_servers_that_start_at_once_agree_on_one_certificate";
    tally.test(name, rolling::one_certificate(it)).await;
    let name = "a_restart_of_kube_apiserver_is_survived";
    tally.test(name, survival::apiserver_restart(it)).await;
    controllers(it, tally).await;
    let name = "serves_with_a_certificate_of_ones_own_and_reloads_it";
    tally.test(name, own_certificate::reloads(it)).await;
}

/// Only here there is a kube-controller-manager: it would act on what the other tests leave.
async fn controllers(it: &mut Installed, tally: &mut Tally) {
    if controller_manager::program().is_none() {
        println!(
            "the tests of controllers need kube-controller-manager: `cargo xtask test --only e2e` finds or builds it"
        );
        tally.leave_out(CONTROLLER_TESTS);
        return;
    }
    let name = "serves_another_plugin_to_the_controllers";
    let Some(mut manager) = tally.needed(name, controllers::start(it)).await else {
        tally.failed += CONTROLLER_TESTS - 1;
        return;
    };
    let name = "a_deleted_namespace_takes_plugin_objects_along_and_waits_for_their_finalizers";
    tally.test(name, controllers::goes(it)).await;
    let name = "garbage_is_collected_between_plugin_objects_and_built_in_ones";
    tally.test(name, controllers::collects(it)).await;
    let name = "a_quota_counts_plugin_objects";
    tally.test(name, controllers::counts(it)).await;
    let name = "an_autoscaler_raises_a_plugin_object_to_its_minimum";
    tally.test(name, controllers::raises(it)).await;
    let name = "namespaces_garbage_and_quotas_go_on_while_a_plugin_traps_on_every_call";
    tally.test(name, controllers::go_on(it, &mut manager)).await;
    let name = "what_a_broken_plugin_keeps_goes_once_it_works_again";
    tally.test(name, controllers::recovers(it)).await;
}
