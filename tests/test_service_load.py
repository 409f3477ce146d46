"""The benchmark of the service, so short that it says nothing of speed."""

from benchmarks import service_load


def test_after_a_soak_the_log_holds_exactly_what_was_answered():
    found = service_load.soak(clients=6, seconds=1)
    assert found["answered_requests"] >= 6
    assert found["answered_images"] > found["answered_requests"]
    assert found["not_answered"] == {}
    assert found["answered_but_not_logged"] == found["logged_but_not_answered"] == 0
    assert found["logged_with_another_number_of_images"] == 0
    assert found["image_numbers_without_gap"]


def test_every_way_of_asking_is_measured():
    found = service_load.measure(connections=2, seconds=0.2, rounds=1)
    for part in ("images_per_second", "milliseconds_per_request"):
        assert set(found[part]) == {"in memory", "json", "binary"}
    assert all(rate > 0 for rate in found["images_per_second"].values())
