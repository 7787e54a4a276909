import pytest
from support.dataset_folders import dataset_folder

from tasks.train.folders import identity, iter_tables, part_paths, partition

ROWS = [{"query_id": "q1", "step": 0}, {"query_id": "q2", "step": 1}], [{"query_id": "q3", "step": 2}]


@pytest.fixture
def folder(tmp_path):
    return dataset_folder(tmp_path / "plan", "batch_plan", *ROWS, partition="fi")


def test_reads_the_parts_in_the_manifests_order_and_no_other(folder):
    (folder / "part-9.parquet").write_bytes(b"left by a run that was killed")
    assert [path.name for path in part_paths(folder)] == ["part-0.parquet", "part-1.parquet"]
    assert [row["query_id"] for table in iter_tables(folder, ["query_id"]) for row in table.to_pylist()] == [
        "q1",
        "q2",
        "q3",
    ]


def test_reads_some_rows_at_a_time(folder, monkeypatch):
    monkeypatch.setattr("tasks.train.folders._ROWS", 1)
    assert [table.num_rows for table in iter_tables(folder, ["step"])] == [1, 1, 1]


def test_knows_its_partition(folder):
    assert partition(folder) == "fi"


def test_identity_follows_content_and_settings_not_the_place_or_order(folder, tmp_path):
    other = dataset_folder(tmp_path / "elsewhere", "batch_plan", *ROWS, partition="fi")
    more = dataset_folder(tmp_path / "more", "batch_plan", ROWS[1], partition="fi")
    assert identity([folder, more], {"seed": 1}) == identity([more, other], {"seed": 1})
    assert identity([folder], {"seed": 1}) != identity([folder], {"seed": 2})
    assert identity([folder], {"seed": 1}) != identity([more], {"seed": 1})


def test_rejects_a_folder_without_manifest(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a dataset's folder with manifest\.json, got none"):
        part_paths(tmp_path)


def test_rejects_a_folder_that_lacks_a_part(folder):
    (folder / "part-1.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"part-1\.parquet, got no such file\. Copy the dataset's folder whole"):
        part_paths(folder)
