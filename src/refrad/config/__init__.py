"""All options of a user, checked before anything runs. `config.yaml` holds the defaults.

config = check_config(load_config([Path("config.yaml"), Path("site.yaml")]))
config.masks.variant
"""

from refrad.config.adaptation import AdaptOptions
from refrad.config.comparison import BoxOptions, OtherModelOptions
from refrad.config.config import Config, ConfigError, check_config, load_config
from refrad.config.dataset import CardOptions, CopiesOptions, GroundedOptions, ReportOptions, ShardsOptions
from refrad.config.deliveries import Delivery, VolumeFiles, is_demo
from refrad.config.evaluation import AnswerTokens, EvaluateOptions
from refrad.config.imaging import (
    IndexOptions,
    MasksOptions,
    StructuresOptions,
    VolumesOptions,
)
from refrad.config.language import (
    LLM_TASKS,
    CaptionsOptions,
    LlmOptions,
    LlmTask,
    MentionsOptions,
    ModelOptions,
    VqaOptions,
    prompt_files,
    tasks_of,
)
from refrad.config.training import TrainOptions
from refrad.config.training_sections import AugmentOptions, LoraOptions

__all__ = [
    "LLM_TASKS",
    "AdaptOptions",
    "AnswerTokens",
    "AugmentOptions",
    "BoxOptions",
    "CaptionsOptions",
    "CardOptions",
    "Config",
    "ConfigError",
    "CopiesOptions",
    "Delivery",
    "EvaluateOptions",
    "GroundedOptions",
    "IndexOptions",
    "LlmOptions",
    "LlmTask",
    "LoraOptions",
    "MasksOptions",
    "MentionsOptions",
    "ModelOptions",
    "OtherModelOptions",
    "ReportOptions",
    "ShardsOptions",
    "StructuresOptions",
    "TrainOptions",
    "VolumeFiles",
    "VolumesOptions",
    "VqaOptions",
    "check_config",
    "is_demo",
    "load_config",
    "prompt_files",
    "tasks_of",
]
