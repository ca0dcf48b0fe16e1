"""An ML-Agents trainer file in the form of a request's options.

A file means here what it means to `mlagents-learn` (ML-Agents 1.1.0, `mlagents/trainers/settings.py` and
`cli_utils.py`), defaults included. A setting without a counterpart that changes nothing that is learned gives a note;
one that would change it is refused, with what to do about it.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.contracts.job import BehaviorSettings, Environment
from pipeline.contracts.notes import SettingNote
from pipeline.contracts.validation import InvalidDocumentError
from pipeline.rules.foreign_settings import Findings, Section, Setting, Settings, checked
from pipeline.rules.mlagents_behavior import default_team_change, read_behavior
from pipeline.rules.mlagents_parameters import read_parameters

_RESTARTS = "a build that ends is started again by our own rule"
_ENVIRONMENT_NOTES = {
    "env_path": (None, "the build is the zip's"),
    "base_port": (None, "ports are chosen as they are free"),
    "num_areas": (1, "the build is asked for the areas of its scene; num_envs plays several copies of it"),
    "max_lifetime_restarts": (None, _RESTARTS),
    "restarts_rate_limit_n": (None, _RESTARTS),
    "restarts_rate_limit_period_s": (None, _RESTARTS),
}
"""By name: the value that changes nothing, and what to say of any other."""

# What the build is told in their place: `EngineConfigurationChannel.configure` in rl_src/envs/side_channels.py.
_ENGINE_NOTES = {
    "width": (80, "the build's window has 80 x 80 pixels; camera sensors have their own size"),
    "height": (80, "the build's window has 80 x 80 pixels; camera sensors have their own size"),
    "quality_level": (1, "the build is told quality level 1"),
    "target_frame_rate": (-1, "the build is told to run as fast as it can (-1)"),
    "capture_frame_rate": (60, "the build is told a capture frame rate of 60"),
    "no_graphics_monitor": (False, "a build without camera sensors runs without graphics"),
}
_CHECKPOINT_NOTES = {
    "run_id": (None, "a run's name is made from the policy and its build"),
    "force": (False, "a run never overwrites another"),
    "train_model": (False, "every run trains"),
    "results_dir": (None, "artifacts lie below the run's own prefix in the bucket"),
}
_CHECKPOINT_REFUSALS = {
    "initialize_from": "training cannot begin from ML-Agents' own checkpoints; remove the setting",
    "resume": "a run of ML-Agents cannot be resumed here; remove the setting",
    "load_model": "a run of ML-Agents cannot be resumed here; remove the setting",
    "inference": "a run always trains; remove the setting",
}


_DEFAULTS = "default_settings"
_SEED_LIMIT = 2**31
"""As in `TrainingJobConfig.seed`."""


def read_trainer_file(document: Mapping[Any, Any]) -> tuple[dict[str, Any], list[SettingNote]]:
    """The fields of a request's options (`RunOptions`) that the file sets, and notes on what it sets in vain.

    One behavior, or the default settings, become the settings for all; other behaviors stand below `behaviors`.

    Raises:
        InvalidDocumentError: with everything that is wrong with the file, each by its path in it.
    """
    findings = Findings()
    root = Section(document, "", findings)
    options = _behaviors(root)
    environment = _environment(root.section("env_settings")) | _engine(root.section("engine_settings"))
    environment |= read_parameters(root.section("environment_parameters"))
    if environment:
        options["environment"] = checked(Environment, environment, findings)
    options |= _seed(root.section("env_settings"))
    _checkpoints(root.section("checkpoint_settings"))
    _torch(root.section("torch_settings"))
    root.note("debug", "the log is always detailed", unless=False)
    root.close()
    if findings.problems:
        raise InvalidDocumentError(findings.problems)
    return options, findings.notes


def _behaviors(root: Section) -> dict[str, Any]:
    """`algorithm`, the settings for all behaviors, and those of each."""
    defaults, named = root.value("default_settings"), root.value("behaviors")
    if not _well_formed(root, defaults, named):
        return {}
    if defaults is None and len(named) == 1:
        ((name, document),) = named.items()
        return _one(document or {}, f"behaviors.{name}", root.findings)
    found = Findings()
    base = {} if defaults is None else _completed(defaults)
    options = _one(base, _DEFAULTS, found) if defaults is not None else {}
    root.findings.add(found)
    own = {}
    for name, document in (named or {}).items():
        path, merged = f"behaviors.{name}", Findings()
        own[str(name)] = _one(_merged(base, document or {}), path, merged)
        root.findings.add(merged.without(found.moved(_DEFAULTS, path)))
        _refuse_takebacks(root, path, options, own[str(name)])
    algorithms = {part.pop("algorithm") for part in (options, *own.values()) if "algorithm" in part}
    if len(algorithms) > 1:
        root.refuse("behaviors", "all behaviors of a run are trained by one trainer_type")
    options |= {"algorithm": next(iter(algorithms))} if algorithms else {}
    return options | ({"behaviors": own} if own else {})


def _well_formed(root: Section, defaults: object, named: object) -> bool:
    before = len(root.findings.problems)
    if defaults is None and not named:
        root.refuse("behaviors", "names no behavior; write your behavior's name and its settings below it")
    for name, value in ((_DEFAULTS, defaults), ("behaviors", named)):
        if value is not None and not isinstance(value, Mapping):
            root.refuse(name, f"must be a mapping, not {value!r}")
    for name, value in named.items() if isinstance(named, Mapping) else ():
        if value is not None and not isinstance(value, Mapping):
            root.refuse(f"behaviors.{name}", f"must be a mapping of settings, not {value!r}")
    return len(root.findings.problems) == before


def _refuse_takebacks(root: Section, path: str, options: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """What is left out of one behavior's settings is as for all: nothing there can say that there is none."""
    gone = [name for name in ("curiosity", "behavioral_cloning") if name in options and name not in own]
    for name in gone:
        root.refuse(path, f"takes {name} of {_DEFAULTS} back; write it below the behaviors that are to have it instead")


def _one(document: Mapping[Any, Any], path: str, findings: Findings) -> dict[str, Any]:
    settings = read_behavior(document, path, findings)
    algorithm = settings.pop("algorithm", None)
    fields = checked(BehaviorSettings, settings, findings)
    return {"algorithm": algorithm.value, **fields} if algorithm else fields


def _completed(defaults: Mapping[Any, Any]) -> dict[Any, Any]:
    """ML-Agents completes the default settings before it lays a behavior over them.

    So a behavior's own learning rate schedule no longer decides the other two, nor its save_steps team_change, and the
    game's reward is always there.
    """
    completed = {**defaults, "reward_signals": _completed_signals(defaults.get("reward_signals") or {"extrinsic": {}})}
    hyperparameters = completed.get("hyperparameters") or {}
    if isinstance(hyperparameters, Mapping):
        rate = hyperparameters.get("learning_rate_schedule", "linear")
        completed["hyperparameters"] = {"beta_schedule": rate, "epsilon_schedule": rate, **hyperparameters}
    self_play = completed.get("self_play")
    if isinstance(self_play, Mapping):
        completed["self_play"] = {"team_change": default_team_change(self_play.get("save_steps")), **self_play}
    return completed


def _completed_signals(signals: object) -> object:
    """An encoding_size stands for network_settings that are not there; once they are, it says nothing."""
    if not isinstance(signals, Mapping):
        return signals
    completed = dict(signals)
    for name in ("curiosity", "rnd"):
        signal = signals.get(name)
        if isinstance(signal, Mapping) and "network_settings" not in signal:
            units = signal.get("encoding_size") or 128
            completed[name] = {**signal, "network_settings": {"hidden_units": units}}
    return completed


def _merged(base: Mapping[Any, Any], over: Mapping[Any, Any]) -> dict[Any, Any]:
    result = dict(base)
    for name, value in over.items():
        known = result.get(name)
        result[name] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return result


def _environment(section: Section | None) -> Settings:
    if section is None:
        return {}
    section.note_each(_ENVIRONMENT_NOTES)
    settings: Settings = {}
    if section.has("env_args"):
        found = section.value("env_args")
        values = found.split() if isinstance(found, str) else found
        if isinstance(values, list) and all(isinstance(value, str | int | float) for value in values):
            settings["arguments"] = Setting([str(value) for value in values], section.path("env_args"))
        else:
            section.refuse("env_args", f"must be a list of arguments, not {found!r}")
    if section.has("num_envs"):
        settings["num_builds"] = Setting(section.whole("num_envs", 1), section.path("num_envs"))
    if section.has("timeout_wait"):
        seconds = Setting(section.number("timeout_wait", 60.0), section.path("timeout_wait"))
        settings |= {"startup_timeout_seconds": seconds, "step_timeout_seconds": seconds}
    section.has("seed")
    section.close()
    return settings


def _seed(section: Section | None) -> dict[str, Any]:
    if section is None or not section.has("seed"):
        return {}
    seed = section.whole("seed", -1)
    if seed < 0:  # -1: ML-Agents draws one
        section.note("seed", "a run always has a seed, so that it can be repeated: 0")
        return {}
    if seed >= _SEED_LIMIT:
        section.refuse("seed", f"must be less than {_SEED_LIMIT}")
    return {"seed": seed}


def _engine(section: Section | None) -> Settings:
    if section is None:
        return {}
    section.note_each(_ENGINE_NOTES)
    settings: Settings = {}
    if section.has("time_scale"):
        settings["time_scale"] = Setting(section.number("time_scale", 20.0), section.path("time_scale"))
    if section.flag("no_graphics", False):
        settings["graphics"] = Setting(False, section.path("no_graphics"))
    section.close()
    return settings


def _checkpoints(section: Section | None) -> None:
    if section is None:
        return
    section.note_each(_CHECKPOINT_NOTES)
    for name, message in _CHECKPOINT_REFUSALS.items():
        if section.value(name) not in (None, False):
            section.refuse(name, message)
    section.close()


def _torch(section: Section | None) -> None:
    if section is not None:
        section.note("device", "learning is on the GPU where the instance has one")
        section.close()
