"""Many videos: which are found, where their results go."""

import pytest

from video2pose3d.batch import discover, name_results, place_inputs
from video2pose3d.errors import UserError


@pytest.fixture
def tree(tmp_path):
    for name in (
        "a/x.mp4",
        "b/x.mp4",
        "b/c/y.MOV",
        "b/notes.txt",
        ".hidden/z.mp4",
        "x.mp4",
        "x.avi",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def _folders(tree, *sources):
    jobs = name_results(discover(str(tree / s) for s in sources), tree / "out")
    return [str(job.folder.relative_to(tree / "out")) for job in jobs]


def test_a_folder_is_searched_at_any_depth_and_names_do_not_collide(tree):
    assert _folders(tree, "") == ["x.avi", "x.mp4", "a/x", "b/x", "b/c/y"]


def test_results_of_earlier_runs_are_not_taken_for_videos(tree):
    for name in ("out/x/poses.npz", "out/x/overlay.mp4"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    assert _folders(tree, "") == ["x.avi", "x.mp4", "a/x", "b/x", "b/c/y"]


def test_a_glob_names_results_by_the_part_with_wildcards(tree):
    assert _folders(tree, "*/x.mp4") == ["a/x", "b/x"]
    assert _folders(tree, "**/*.MOV") == ["b/c/y"]


def test_a_list_is_read_relative_to_itself(tree):
    (tree / "list.txt").write_text("# clips\na/x.mp4\n\nb/c/y.MOV\n")
    jobs = name_results(discover([f"@{tree / 'list.txt'}"]), tree / "out")
    assert [job.folder.name for job in jobs] == ["x", "y"]
    assert [job.source for job in jobs] == [str(tree / "a/x.mp4"), str(tree / "b/c/y.MOV")]


def test_a_video_that_two_sources_name_is_done_once(tree):
    assert _folders(tree, "a", "a/x.mp4") == ["x"]


def test_a_source_without_videos_is_told(tree):
    (tree / "empty").mkdir()
    with pytest.raises(UserError, match="holds no videos"):
        discover([str(tree / "empty")])
    with pytest.raises(UserError, match="not a list"):
        discover(["@" + str(tree / "no-such-list.txt")])


def test_two_inputs_of_the_same_name_are_refused_rather_than_mixed(tree):
    with pytest.raises(UserError, match="both write to"):
        name_results(place_inputs([str(tree / "a/x.mp4"), str(tree / "b/x.mp4")]), tree / "out")


def test_names_come_from_the_file_whatever_it_is_called(tmp_path):
    (tmp_path / "take 1.2").mkdir()
    names = ["-dash.mp4", "名前 & 'q';$(touch x).mp4", "take 1.2", "noending"]
    jobs = name_results(place_inputs([str(tmp_path / n) for n in names]), tmp_path / "out")
    assert [job.folder.name for job in jobs] == [
        "-dash", "名前 & 'q';$(touch x)", "take 1.2", "noending",
    ]  # fmt: skip
    assert name_results(place_inputs(["0"]), tmp_path)[0].folder.name == "webcam-0"
