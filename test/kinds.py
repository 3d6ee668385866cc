"""The kinds of tests: which are slow, which train, and which run in one process one after another.

conftest.py marks the tests by these tables; docs/testing.md says how to run one kind.
"""
from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

# Whole files that train networks.
TRAINING = {"test_trainer.py", "test_training.py", "test_training_benchmark.py",
            "test_training_processes.py", "test_training_resume.py", "test_your_own_robot.py"}

# By file: tests that take more than some 2 s, and fixtures whose set-up does. A test that needs
# such a fixture is slow, too. "*" means the whole file.
SLOW: dict[str, set[str]] = {
    "test_advice.py": {"drives", "test_a_healthy_robot_is_left_alone",
                       "test_a_sensor_that_is_late_is_reported_with_the_delay_that_mends_it"},
    "test_benchmark.py": {"*"},
    "test_build_engine.py": {"test_the_full_model_becomes_an_engine_for_a_camera",
                             "test_a_checkpoint_becomes_an_engine_for_a_camera",
                             "test_what_labels_without_the_other_sensor_is_an_engine_of_its_own",
                             "test_the_command_in_the_file_builds_it_again"},
    "test_cli.py": {"test_export_makes_a_file_that_predict_can_use",
                    "test_every_command_explains_itself"},
    "test_end_to_end.py": {"*"},
    "test_evaluate_bag.py": {"test_bags_are_counted_together_and_alone_however_many_at_once",
                             "test_a_bag_that_cannot_be_used_is_named_among_others_and_ends_them",
                             "test_two_results_are_compared_in_words_and_on_a_page",
                             "test_bad_input_is_named_and_no_figures_are_written"},
    "test_extract.py": {"test_a_model_s_doubts_are_written_down",
                        "test_several_bags_at_once_give_what_each_gives_alone"},
    "test_export.py": {"test_a_failed_export_leaves_nothing", "test_a_file_does_not_name_where_it_"
                       "was_made_and_is_the_same_each_time"},
    "test_faults.py": {"test_cycles_leave_nothing_behind",
                       "test_a_real_node_whose_model_hangs_twice_labels_in_between_and_ends_with_"
                       "the_reason"},
    "test_full_disk.py": {"*"},
    "test_geometry.py": {"test_the_mean_edge_of_a_cameras_image_stays_where_it_is"},
    "test_imagenet.py": {"*"},
    "test_import_spec.py": {"*"},
    "test_int8.py": {"*"},
    "test_model_against_reference.py": {"*"},
    "test_model_experts.py": {"test_onnx_gives_the_output_of_torch"},
    "test_network.py": {"*"},
    "test_package.py": {"install"},
    "test_parity.py": {"end_to_end", "test_a_disturbed_layer_closes_the_gate_and_is_named",
                       "test_a_disturbed_checkpoint_s_layer_is_named",
                       "test_a_file_in_int8_says_so_and_gets_the_wider_bound",
                       "test_the_layer_is_found_behind_another_graph_and_precision",
                       "test_an_engine_s_layers_are_those_of_the_onnx_file_behind_it",
                       "test_a_bag_gives_the_figures_of_its_frames"},
    "test_prepare.py": {"test_a_killed_run_leaves_whole_files_and_no_workers_and_continues"},
    "test_processes.py": {"*"},
    "test_registration.py": {
        "scenes", "test_a_known_homography_is_found_within_a_pixel_on_real_near_infrared",
        "test_a_segmenter_takes_the_images_of_both_cameras_as_they_come"},
    "test_reliability.py": {"test_a_program_that_is_killed_twice"},
    "test_report.py": {"test_any_name_is_text_and_nothing_else"},
    "test_report_in_a_browser.py": {"*"},
    "test_security.py": {"*"},
    "test_shipped_models.py": {"test_a_forest_that_it_has_never_seen_is_understood"},
    "test_synthetic_forest.py": {"*"},
    "test_synthetic_robots.py": {"*"},
    "test_tf_import.py": {"*"},
    "test_thermal.py": {"test_onnx_draws_the_same"},
    "test_timm.py": {"*"},
    "test_torch_cuda.py": {"*"},
    "test_warm_up.py": {"test_when_a_sensor_fails_no_session_is_opened_and_no_graph_captured"},
    "test_unimodal.py": {"end_to_end", "test_a_vegetation_index_needs_colour"},
}

# Tests of time that need the machine for themselves.
ALONE: dict[str, set[str]] = {
    "test_node_overhead.py": {"test_a_short_run_gives_figures_of_both_nodes"},
    "test_replay.py": {"test_every_message_arrives_in_order_at_its_time", "test_rate_and_clock"},
}


def of(item: pytest.Item) -> set[str]:
    """The markers that these tables give a test."""
    file = item.path.name
    names = {getattr(item, "originalname", item.name), "*", *getattr(item, "fixturenames", ())}
    found = {kind for kind, table in (("slow", SLOW), ("alone", ALONE))
             if names & table.get(file, set())}
    return found | {"training"} if file in TRAINING else found


@cache
def group(file: Path) -> str:
    """The tests of a group run in one process, one after another, and share their set-up: those of
    a file; or of all files with tests over DDS, since a program that they start takes its domain by
    chance; or of all with tests on the GPU."""
    source = file.read_text(encoding="utf-8")
    return next((kind for kind in ("ros", "gpu") if f"pytest.mark.{kind}" in source), file.stem)


def turn(item: pytest.Item) -> int:
    """Where several processes run tests, long groups begin first, so that all end together."""
    long = ("ros", "training", "slow")
    return next((i for i, kind in enumerate(long) if item.get_closest_marker(kind)), len(long))
