import numpy as np
import polars as pl

from tasks.plan_batches.shelf import Shelf


def test_shelf_gives_back_what_was_put_there(tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    ids = pl.Series("doc_id", ["a", "ä" * 40, "", "b" * 13])
    assert shelf.array("numbers", np.array([3, 1, 2], dtype=np.int32)).tolist() == [3, 1, 2]
    assert shelf.ids("ids", ids).equals(ids)
    assert sorted(path.name for path in (tmp_path / "shelf").iterdir()) == ["ids.arrow", "numbers.npy"]


def test_shelf_maps_arrays_instead_of_reading_them(tmp_path):
    array = Shelf(tmp_path).array("numbers", np.arange(10))
    assert isinstance(array.base, np.memmap)
    assert type(array[np.array([1, 2])]) is np.ndarray


def test_shelf_keeps_what_is_empty_and_everything_without_a_folder(tmp_path):
    assert Shelf(tmp_path).array("numbers", np.empty(0)).size == 0
    assert len(Shelf(tmp_path).ids("ids", pl.Series(dtype=pl.String))) == 0
    numbers = np.arange(3)
    assert Shelf(None).array("numbers", numbers) is numbers
