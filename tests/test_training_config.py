"""Claims about training configs and the learning rate they ask for."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video2pose3d import discovery
from video2pose3d.errors import UserError
from video2pose3d.training import config_files
from video2pose3d.training.config import Schedule, Stage, TrainingConfig

TINY = """
lifter = "ssr_stf"
[model]
N = 1
C = 32
[optimiser]
lr = 1e-3
[loss]
position = 1
velocity = 20
[schedule]
steps = 4
[[stage]]
frames = 5
windows = 4
"""


@pytest.mark.parametrize("name", config_files.shipped(config_files.LIFT))
def test_shipped_configs_are_found_by_name_and_fit_their_lifters(name):
    found = TrainingConfig.read(name)
    module = discovery.load("lifters", found.lifter)
    assert isinstance(found.model_config(), module.Config)
    assert found.data.name in discovery.names("datasets")
    text = (config_files.CONFIGS / f"{name}.toml").read_text()
    assert text.startswith("# ")  # the table and the row it aims at, or what it is for


def test_a_config_may_stand_on_another(tmp_path):
    (tmp_path / "below.toml").write_text(TINY)
    (tmp_path / "above.toml").write_text('base = "below"\n[model]\nC = 64\n')
    found = TrainingConfig.read(tmp_path / "above.toml")
    assert found.model == {"N": 1, "C": 64}
    below = TrainingConfig.read(tmp_path / "below")
    assert dataclasses.replace(found, model=below.model) == below
    (tmp_path / "third.toml").write_text('base = "above"\n')
    with pytest.raises(UserError, match="has a base itself"):
        TrainingConfig.read(tmp_path / "third.toml")


def test_a_base_for_another_lifter_leaves_the_model_open(tmp_path):
    (tmp_path / "below.toml").write_text(TINY)
    (tmp_path / "above.toml").write_text('base = "below"\nlifter = "mixste"\n[model]\nC = 64\n')
    found = TrainingConfig.read(tmp_path / "above.toml")
    assert (found.lifter, found.model) == ("mixste", {"C": 64})


def test_lifters_are_compared_on_the_same_batches_with_as_many_parameters():
    names = [f"{lifter}_mocap_cpu" for lifter in ("ssr_stf", "mixste", "transformer_gcn")]
    configs = [TrainingConfig.read(name) for name in names]
    first, *others = (dataclasses.replace(c, lifter="", model={}) for c in configs)
    assert others == [first, first]
    models = [discovery.load("lifters", c.lifter).Model(c.model_config()) for c in configs]
    sizes = [sum(p.numel() for p in model.parameters()) for model in models]
    assert max(sizes) < 1.05 * min(sizes)


def test_a_variant_is_changed_by_the_fields_beside_it(tmp_path):
    (tmp_path / "a.toml").write_text(TINY.replace("N = 1", 'variant = "small"'))
    found = TrainingConfig.read(tmp_path / "a.toml").model_config()
    assert (found.N, found.C) == (16, 32)
    (tmp_path / "a.toml").write_text(TINY.replace("N = 1", 'variant = "tall"'))
    with pytest.raises(UserError, match=r"'tall' is not a variant of ssr_stf: choose from base"):
        TrainingConfig.read(tmp_path / "a.toml").model_config()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("lifter = ", "lifter = = "), "not a training config"),
        (("[[stage]]", "[[stages]]"), "stage"),
        (("windows = 4", "windows = 4\nuntil = 0.5"), "until 1"),
        (("steps = 4", "steps = 4\nepochs = 4"), "either steps or epochs"),
        (("velocity", "smooth"), r"\[loss\] has smooth, not position"),
        (("lr = ", "rate = "), "rate"),
        (("[loss]", "[data]\nstrides = 3\n[loss]"), r"\[data\] has strides"),
        (("[loss]\nposition = 1\nvelocity = 20", ""), r"\[loss\] is missing"),
        (("frames = 5", "frames = 0"), "frames is 0, not 1 or more"),
        (("windows = 4", "windows = -1"), "windows is -1"),
        (("[loss]", "[data]\nstride = -3\n[loss]"), "stride is -3"),
        (("lr = 1e-3", "lr = 1e-3\naccumulate = 0"), "accumulate is 0"),
        (("lr = 1e-3", "lr = 1e-3\nema = 1.0"), "ema is 1.0, not in 0 to 1"),
        (("lr = 1e-3", 'lr = 1e-3\nmatrices = "adam"'), "not adamw or muon"),
        (("[loss]", "[pretrain]\nmaskings = 0\n[loss]"), "maskings is 0"),
        (("[loss]", "[pretrain]\nmask = 1.5\n[loss]"), "mask is 1.5, not in 0 to 1"),
        (("frames = 5", "frames = 9.5"), "frames is 9.5, not int"),
        (("frames = 5", "frames = true"), "frames is True, not int"),
        (("steps = 4", "steps = -6"), "steps is -6, not 0 or more"),
        (("[model]", "seed = -1\n[model]"), "seed is -1, not 0 or more"),
        (("[model]", "val_windows = 0\n[model]"), "val_windows is 0, not 1 or more"),
        (("[model]", "about = { licence = 1 }\n[model]"), r"not dict\[str, str\]"),
        (("[loss]", "[data]\nworkers = -1\n[loss]"), "workers is -1"),
        (("[loss]", '[data]\nname = "h36m"\nstride = 0\n[loss]'), "stride is 0"),
        (("[loss]", '[data]\nname = "h36m"\nwatch = "nonsense"\n[loss]'), "'train', 'test'"),
        (("[loss]", "[data]\nstride = 3\n[loss]"), r"\[data\] has stride, which is not for mocap"),
        (("[loss]", '[data]\nwatch = "test"\n[loss]'), r"\[data\] has watch"),
        (("[loss]", "[recipe]\nfps = 30\n[loss]"), r"fps is 30, not tuple\[float, float\]"),
        (("[loss]", "[recipe]\nfps = [24, 30, 60]\n[loss]"), r"fps is \(24, 30, 60\), not tuple"),
        (("lr = 1e-3", 'lr = "1e-3"'), "lr is '1e-3', not float"),
        (("lr = 1e-3", "lr = nan"), "lr is nan, not 0 or more"),
        (("[optimiser]\nlr = 1e-3", "optimiser = 3"), "optimiser"),
        (("C = 32", "C = 32\nheads = 3"), "config.toml: heads is 3"),
        (("C = 32", "C = 32\nkernel = [19, 3, 11, 2]"), "19 // 3 taps"),
        (("C = 32", "C = 32\nkernel = [19, 3]"), r"\[model\] does not fit .*kernel is \(19, 3\)"),
        (("N = 1", "N = 0"), "N is 0, not 1 or more"),
    ],
)
def test_a_config_that_is_none_is_one_clear_error(tmp_path, change, says):
    path = tmp_path / "config.toml"
    path.write_text(TINY.replace(*change))
    with pytest.raises(UserError, match=says) as caught:
        TrainingConfig.read(path)
    assert caught.value.path == str(path)


def test_a_config_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    with pytest.raises(UserError, match="mocap_tiny_cpu"):
        TrainingConfig.read(tmp_path / "missing.toml")


@given(st.integers(1, 40), st.floats(0.05, 0.95))
def test_windows_are_counted_as_the_stages_show_them(steps, until):
    found = dataclasses.replace(
        TrainingConfig.read("ssr_stf_h36m_t27"), stage=(Stage(9, 5, until), Stage(27, 2))
    )
    for step in range(steps + 1):
        shown = [found.stage_at(done, steps).windows for done in range(step)]
        assert found.windows_at(step, steps) == sum(shown)


def test_the_rate_warms_up_stays_and_falls():
    schedule = Schedule(steps=100, warmup=10, decay=50)
    rates = [schedule.rate(step, 100, epoch=0) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.02)


def test_the_papers_rate_falls_by_a_hundredth_every_epoch():
    schedule = TrainingConfig.read("ssr_stf_h36m_t243").schedule
    assert schedule.epochs == 90
    assert schedule.rate(10**6, 10**7, epoch=2) == pytest.approx(0.99**2)


@pytest.mark.parametrize("name", ["mixste_h36m_t243", "mixste_3dhp_t27"])
def test_mixste_learns_as_long_as_its_code_whose_epochs_show_mirror_images_as_well(name):
    schedule = TrainingConfig.read(name).schedule
    assert schedule.epochs == 2 * 120
    assert schedule.factor**2 == pytest.approx(0.99, abs=1e-4)
