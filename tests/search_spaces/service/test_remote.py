"""What a study on a cluster refuses before it reaches for the cluster. The rest is in tests/integration."""

from tests.search_spaces.place import Place, one_line


def test_what_cannot_be_a_cluster_is_refused_in_one_line(place: Place) -> None:
    said = one_line(place.run("--cluster", "none.yaml"))
    assert said == "error: --cluster none.yaml: is no file; give the file that `ray up` was given\n"
    (place.folder / "wrong.yaml").write_text("cluster_name: x\n")
    assert "--cluster wrong.yaml: no cluster answers (" in one_line(place.run("--cluster", "wrong.yaml"))


def test_credentials_do_not_go_to_a_cluster(place: Place) -> None:
    addresses = ("https://me:secret@host", "postgresql://me@host/d?password=secret")
    for option, address in zip(("--tracking-uri", "--storage"), addresses, strict=True):
        said = one_line(place.run("--cluster", "none.yaml", option, address))
        assert "with --cluster its password would be kept with the job" in said
        assert "secret" not in said
