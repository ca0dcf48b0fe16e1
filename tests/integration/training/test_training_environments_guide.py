"""The examples of docs/environments.md, one after the other, as a reader would run them."""

import re
from pathlib import Path
from typing import Any

import pytest
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

from sample_builds.packer import pack
from tests.fakes.sample_players import use_this_interpreter

GUIDE = Path(__file__).parents[3] / "docs/environments.md"


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_this_interpreter(monkeypatch)
    text = GUIDE.read_text(encoding="utf-8")
    packed = re.search(r"sample_builds pack ([\w ]+) --output build", text)
    assert packed is not None
    for name in packed[1].split():
        pack(name, tmp_path / "build")
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    for example in examples:
        exec(example, names)
    assert len(examples) == 6
    assert names["ended"]
    assert names["observations"].keys() == {f"SoccerTwos?team={team}/{slot}" for team in (0, 1) for slot in (0, 1)}
    assert all(observation.shape == (20,) for observation in names["last"])
    assert names["step"].over
    runner = MultiAgentEnvRunner(config=names["config"].copy())
    assert sum(len(episode) for episode in runner.sample(num_timesteps=20)) >= 20
    runner.stop()
