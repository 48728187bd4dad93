"""The training loop: a broken run ends where an unbroken one does."""

import contextlib
import errno
import logging
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from runner_reid import networks, training

EPOCHS = 5


def start(checkpoint, fingerprint="a", epochs=EPOCHS):
    networks.seed_everything(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)

    def train_epoch(epoch):
        inputs = torch.randn(8, 4) + random.random()
        loss = (model(inputs) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        return {"train_loss": loss.item()}

    rows = training.run_epochs(
        model,
        optimizer,
        scheduler,
        train_epoch=train_epoch,
        epochs=epochs,
        seed=3,
        checkpoint=checkpoint,
        fingerprint=fingerprint,
    )
    return model, rows


@pytest.fixture
def unbroken(tmp_path):
    model, rows = start(tmp_path / "unbroken.pt")
    rows = list(rows)
    return model.state_dict(), [row["train_loss"] for row in rows]


@pytest.mark.parametrize("stop", range(1, EPOCHS + 1))
def test_a_broken_run_ends_as_an_unbroken_one(tmp_path, unbroken, stop):
    state, losses = unbroken
    _, rows = start(tmp_path / "broken.pt")
    for _ in range(stop):
        next(rows)
    rows.close()
    torch.rand(stop)
    model, rows = start(tmp_path / "broken.pt")
    rows = list(rows)
    assert [row["epoch"] for row in rows] == list(range(EPOCHS))
    assert [row["train_loss"] for row in rows] == losses
    assert all(torch.equal(model.state_dict()[name], state[name]) for name in state)


@pytest.mark.parametrize("again", [{"fingerprint": "b"}, {"epochs": EPOCHS - 1}])
def test_a_checkpoint_of_another_training_is_ignored(tmp_path, caplog, again):
    list(start(tmp_path / "run.pt")[1])
    with caplog.at_level(logging.WARNING):
        rows = start(tmp_path / "run.pt", **again)[1]
        first = next(rows)
    assert first["epoch"] == 0 and "another training" in caplog.text


def test_a_damaged_checkpoint_is_ignored(tmp_path, caplog):
    (tmp_path / "run.pt").write_bytes(b"PK half a file")
    assert len(list(start(tmp_path / "run.pt")[1])) == EPOCHS
    assert "damaged" in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_a_full_disk_is_an_error_of_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(training.files, "atomic_path", lambda path: contextlib.nullcontext(Path("/dev/full")))
    _, rows = start(tmp_path / "checkpoint")
    with pytest.raises(OSError) as error:
        next(rows)
    assert error.value.errno == errno.ENOSPC


def test_progress_is_logged(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        list(start(tmp_path / "run.pt", epochs=2)[1])
    assert "epoch 1/2  train_loss" in caplog.text and "0 s left" in caplog.text


def test_no_epochs_no_rows(tmp_path):
    assert list(start(tmp_path / "run.pt", epochs=0)[1]) == []


def test_the_digest_sees_code_choices_and_data():
    data = np.arange(6)
    digests = {
        training.digest("a", {"x": 1}, data),
        training.digest("b", {"x": 1}, data),
        training.digest("a", {"x": 2}, data),
        training.digest("a", {"x": 1}, data + 1),
        training.digest("a", {"x": 1}, data.reshape(2, 3)),
    }
    assert len(digests) == 5
    assert training.digest("a", {"x": 1, "y": 2}) == training.digest("a", {"y": 2, "x": 1})


def test_history_is_a_csv(tmp_path):
    training.write_history([{"epoch": 0, "loss": 0.5}, {"epoch": 1, "loss": 0.25}], tmp_path / "history.csv")
    assert pl.read_csv(tmp_path / "history.csv").to_dicts()[1] == {"epoch": 1, "loss": 0.25}
