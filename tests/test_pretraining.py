"""Claims about pre-training by contextualised representations, and fine-tuning from it."""

import json
from dataclasses import replace

import mocap
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from mocap import walk
from test_training_loop import CONFIG, rows
from test_training_windows import sequence

from video2pose3d import discovery, lifters
from video2pose3d.cli import video2pose3d
from video2pose3d.errors import UserError
from video2pose3d.skeletons import HUMANEVA15
from video2pose3d.training import hooks
from video2pose3d.training.config import Data, Optimiser, Pretraining, Schedule, TrainingConfig
from video2pose3d.training.loop import train
from video2pose3d.training.pretraining import Contextualising, pretrain
from video2pose3d.training.publishing import backbone, publish

SMALL = {
    "ssr_stf": {"N": 2, "C": 32, "Ch": 16, "heads": 2},
    "mixste": {"d_l": 2, "C": 16, "T": 9, "heads": 2},
    "transformer_gcn": {"N": 2, "d": 16, "dh": 16, "T": 9, "heads": 2},
}


@pytest.fixture
def folder(tmp_path):
    mocap.write(tmp_path, ["train"], [walk(300), walk(40, seed=1)])
    (tmp_path / "config.toml").write_text(CONFIG + "[pretrain]\ntau = [0.9, 0.99]\n")
    return tmp_path


@pytest.fixture
def config(folder) -> TrainingConfig:
    return TrainingConfig.read(folder / "config.toml")


def task(config: TrainingConfig, **settings) -> Contextualising:
    torch.manual_seed(0)
    return Contextualising(config.make_model(), Pretraining(**settings))


def test_the_target_is_the_normalised_mean_of_the_teachers_last_outputs(config):
    config = replace(config, model={**config.model, "N": 3})
    inputs = torch.randn(2, 5, 17, 3)
    for K in (1, 2, 8):  # 8: all, where it has fewer
        found = task(config, layers=K)
        F1, F2, F3 = found.teacher.features(inputs)
        last = [F1, F2, F3][-K:]
        mean = sum(F.layer_norm(f, (32,)) for f in last) / len(last)
        torch.testing.assert_close(found.target(inputs), F.layer_norm(mean, (32,)))


def test_a_share_of_every_row_is_noise_and_the_rest_is_as_it_was(config):
    f0 = torch.full((6, 5, 17, 32), 7.0)
    masked = task(config, mask=0.8, noise=0.01).mask(f0)
    tokens = (masked != 7).all(dim=-1).flatten(1)  # (6, L)
    assert (tokens.sum(dim=1) == round(0.8 * 5 * 17)).all()
    assert ((masked == 7).all(dim=-1).flatten(1) == ~tokens).all()
    assert len({tuple(row.tolist()) for row in tokens}) == 6  # each its own
    noise = masked[masked != 7]
    assert noise.std() == pytest.approx(0.01, rel=0.1)


def test_maskings_share_one_teacher_pass(config, monkeypatch):
    found = task(config, maskings=3)
    seen = {"teacher": [], "student": []}
    for name, model in (("teacher", found.teacher), ("student", found.lifter)):
        encode = model.encode

        def watched(f, name=name, encode=encode):
            seen[name].append(len(f))
            return encode(f)

        monkeypatch.setattr(model, "encode", watched)
    found(torch.randn(2, 5, 17, 3))
    assert seen == {"teacher": [2], "student": [6]}


def test_the_teacher_follows_by_the_rule_of_the_paper(config):
    found = task(config)
    student = dict(found.lifter.named_parameters())
    before = {name: p.clone() for name, p in found.teacher.named_parameters()}
    with torch.no_grad():
        for p in student.values():
            p.add_(1.0)
    found.move_teacher(0.75)
    for name, p in found.teacher.named_parameters():
        torch.testing.assert_close(p, 0.75 * before[name] + 0.25 * student[name])


def test_the_teacher_is_the_average_of_the_student_through_the_run(folder, config, monkeypatch):
    """Followed from outside: every student that a step left, and tau between its two ends."""
    students, taus = [], []
    move = Contextualising.move_teacher

    def watched(self, tau):
        students.append({name: p.detach().clone() for name, p in self.lifter.named_parameters()})
        taus.append(tau)
        move(self, tau)

    monkeypatch.setattr(Contextualising, "move_teacher", watched)
    checkpoint = pretrain(config, folder, folder / "out", threads=1)
    assert taus == pytest.approx([0.9, 0.918, 0.936, 0.954, 0.972, 0.99])
    torch.manual_seed(config.seed)
    teacher = dict(config.make_model().named_parameters())
    for student, tau in zip(students, taus, strict=True):
        teacher = {name: tau * p + (1 - tau) * student[name] for name, p in teacher.items()}
    saved = hooks.read_checkpoint(checkpoint)["model"]
    for name, p in teacher.items():
        torch.testing.assert_close(saved[f"teacher.{name}"], p.detach())
        moved = not torch.equal(saved[f"teacher.{name}"], saved[f"lifter.{name}"])
        assert moved == (name in backbone(config.make_model()))


def test_only_the_training_split_is_read_and_only_its_2d_side(folder, config, monkeypatch):
    asked, load, clip = [], discovery.load, sequence(40)
    clip.target[:] = float("nan")

    class Reader:
        @staticmethod
        def read(path, split):
            asked.append(split)
            return [clip]

    def load_or_reader(package, name):
        return Reader if package == "datasets" else load(package, name)

    monkeypatch.setattr(discovery, "load", load_or_reader)
    benchmark = replace(config, data=Data("h36m", watch="test"), schedule=Schedule(epochs=1))
    pretrain(benchmark, folder, folder / "benchmark", threads=1)
    assert asked == ["train"]
    (row,) = rows(folder / "benchmark")
    assert 0 < float(row["loss"]) < 10
    # and of motion capture train.npz is the only file there is
    pretrain(config, folder, folder / "mocap", steps=1, threads=1)


@pytest.mark.parametrize("lifter", SMALL)
def test_any_lifter_learns_to_fill_in_and_is_fine_tuned_from_there(folder, config, lifter):
    config = replace(
        config, lifter=lifter, model=SMALL[lifter], optimiser=Optimiser(3e-3), val_windows=2
    )
    pretrain(config, folder, folder / "pre", steps=1, threads=1)
    checkpoint = pretrain(config, folder, folder / "pre", steps=25, threads=1)
    first, last = rows(folder / "pre")
    assert float(last["loss"]) < 0.9 * float(first["loss"])

    path = folder / "backbone.safetensors"
    publish(config, checkpoint, path)
    with pytest.raises(UserError, match=r"without a head; fine-tune it first"):
        lifters.load(path)
    _, tensors = lifters.read(path)
    model = config.make_model()
    missing = set(model.state_dict()) - set(tensors)
    assert {"head.weight", "head.bias"} <= missing
    assert missing == set(model.state_dict()) - backbone(model)
    assert all(name.split(".")[0] in ("head", "norm", "to_E") for name in missing)

    mocap.write(folder, ["val"], [walk(60)])
    tuned = replace(config, pretrain=None, optimiser=Optimiser(1e-9), start=str(path))
    state = hooks.read_checkpoint(train(tuned, folder, folder / "tuned", steps=1, threads=1))
    fresh = hooks.read_checkpoint(
        train(replace(tuned, start=None), folder, folder / "fresh", steps=1, threads=1)
    )
    for name in dict(model.named_parameters()):
        source = tensors[name] if name in tensors else fresh["model"][f"lifter.{name}"]
        torch.testing.assert_close(state["model"][f"lifter.{name}"], source)


def test_looking_for_the_backbone_moves_nothing(config):
    fields = {**SMALL["transformer_gcn"], "parents": HUMANEVA15.parents}  # nor wants 17 joints
    model = replace(config, lifter="transformer_gcn", model=fields).make_model()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    backbone(model)
    for name, t in model.state_dict().items():
        torch.testing.assert_close(t, before[name], rtol=0, atol=0)


def test_each_kind_of_config_has_its_command(folder, config):
    with pytest.raises(UserError, match="use video2pose3d pretrain"):
        train(config, folder, folder / "out")
    with pytest.raises(UserError, match="use video2pose3d train"):
        pretrain(replace(config, pretrain=None), folder, folder / "out")


def test_the_two_commands_work_hand_in_hand(folder):
    (folder / "tuned.toml").write_text(CONFIG)
    mocap.write(folder, ["val"], [walk(60)])
    backbone_file, lifter_file = folder / "backbone.safetensors", folder / "lifter.safetensors"
    for words in (
        f"pretrain {folder}/config.toml -o {folder}/pre --publish {backbone_file}",
        f"train {folder}/tuned -o {folder}/tuned --start {backbone_file} --publish {lifter_file}",
    ):
        command = [*words.split(), "--data", str(folder), "--steps", "1", "--device", "cpu"]
        result = CliRunner().invoke(video2pose3d, [*command, "--json"])
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["weights"]
    assert lifters.load(lifter_file).metadata["steps"] == "1"
