"""How large a cluster can become, from its file."""

from pathlib import Path

import yaml

from search_spaces.service.growth import largest, total

ROOT = Path(__file__).parents[3]


def test_the_cluster_of_the_file_grows_to_its_most_machines() -> None:
    config = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    found = largest(config)
    assert (len(found), total(found, "CPU"), total(found, "GPU")) == (4, 192, 16), "4 of both kinds together"
    kinds = config["available_node_types"]
    kinds["large"] = {"resources": {"CPU": 8, "GPU": 8}, "max_workers": 1}
    assert total(largest(config), "GPU") == 8 + 3 * 4
    assert total(largest({**config, "max_workers": 0}), "CPU") == 0


def test_machines_of_ones_own_are_counted_as_they_join() -> None:
    assert (
        largest({"max_workers": 2, "available_node_types": {"local": {"resources": {}}}, "head_node_type": "head"})
        == []
    )
    assert largest({}) == []
