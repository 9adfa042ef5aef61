"""The command `refrad try-llm`: an acceptance test of a language model on the project's own labelled sentences."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from json import dumps
from pathlib import Path

from refrad.acceptance.labelled_item import Anatomy
from refrad.acceptance.trial import judge_answers, labelled_task, measure_levels
from refrad.acceptance.trial_table import SiteAmount, Trial, format_trials, summarize_trial
from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.commands.plan import count, count_texts
from refrad.config import LLM_TASKS, ModelOptions, load_config
from refrad.core.files import atomic
from refrad.evaluation.metrics.judge import load_scale
from refrad.llm import Models
from refrad.llm.store import UnkeptReplies
from refrad.workflow.estimates import expected_images, request_amounts
from refrad.workflow.rates import load_rates
from refrad.workflow.site import Site

__all__ = ["main"]

# A stage waits longer.
PATIENCE = 30.0  # seconds without any answer after which the command stops
TIMEOUT = 120.0  # seconds for one request

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Candidate:
    """A model to try, with the site whose prompts, lexicon and schema its requests have."""

    site: Site
    options: ModelOptions


def main(
    role: str,
    *,
    config: list[Path] | None = None,
    against: str | None = None,
    most: int = 256,
    json: Path | None = None,
) -> None:
    """Try the model of a role on labelled sentences that are part of RefRad; no text of your reports is sent.

    Prints the answers that are right, wrong and refused, tokens, latency, throughput, the concurrency to set, and the hours for
    your deliveries. The store of replies is neither read nor written.

    Args:
        role: rewrite, translate, judge, mentions, qa or score.
        config: the files given to Snakemake's --configfile, if any.
        against: second model, in a second column: another role of the config, a config file laid over the others, or
            MODEL@ADDRESS.
        most: largest number of requests at once that is tried.
        json: file for the figures, as JSON.

    Raises:
        ValueError: if the role has no model, or the model cannot be used.
        FileNotFoundError: if a config, prompt or lexicon is missing.
    """
    if most < 1:
        raise ValueError("--most must be 1 or more")
    paths = config or [Path("config.yaml")]
    candidates = [_configured(paths, role, role)]
    if against is not None:
        candidates.append(_other(candidates[0], paths, role, against))
    trials = [_try(candidate, role, most) for candidate in candidates]
    amount = _amount(candidates[0].site, role)
    summaries = [summarize_trial(trial, amount) for trial in trials]
    if json is not None:
        with atomic(json) as temporary:
            content = dumps({"role": role, "models": summaries}, ensure_ascii=False, indent=2)
            temporary.write_text(f"{content}\n", encoding="utf-8")
    print(f"task {role}, on sentences of RefRad; answers are counted by {'question' if role == 'qa' else 'sentence'}\n")
    print(format_trials(summaries))


def _configured(paths: Sequence[Path], role: str, source: str) -> _Candidate:
    """The model of the role `source` in a config, to be tried in `role`."""
    if role not in (names := [task.name for task in LLM_TASKS]):
        raise ValueError(f"no role {role}: the roles are {', '.join(names)}")
    site = Site(load_config(paths), downloads=False)
    options = getattr(site.config.llm, source, None)
    if not isinstance(options, ModelOptions):
        raise ValueError(f"{', '.join(map(str, paths))}: llm.{source} names no model")
    return _Candidate(site, options)


def _other(first: _Candidate, paths: Sequence[Path], role: str, against: str) -> _Candidate:
    """The second model."""
    if against in [task.name for task in LLM_TASKS]:
        return _configured(paths, role, against)
    model, separator, address = against.rpartition("@")
    if separator and address.startswith(("http://", "https://")):
        return _Candidate(first.site, first.options.model_copy(update={"model": model, "endpoint": address}))
    if not Path(against).is_file():
        raise ValueError(f"--against {against}: neither a role, nor a config file, nor MODEL@ADDRESS")
    return _configured([*paths, Path(against)], role, role)


def _try(candidate: _Candidate, role: str, most: int) -> Trial:
    site = candidate.site
    options = candidate.options
    limits = {"patience": min(options.patience, PATIENCE), "timeout": min(options.timeout, TIMEOUT)}
    options = options.model_copy(update={"concurrency": most, **limits})
    schema = load_schema(Path(site.schema))
    lexicon = load_lexicon(Path(site.lexicon), schema)
    anatomy = Anatomy(schema, lexicon, load_scale(Path(site.scale)), max(site.config.vqa.findings, 1))
    replies = UnkeptReplies()
    logs = Path(site.folder("logs"))
    models = Models(
        {role: options},
        Path(site.store("llm")),
        logs / "try-llm" / options.name,
        Path(site.config.llm.prompts),
        logs=Path(site.server_logs),
        replies=replies,
    )
    try:
        task, items = labelled_task(role, models, anatomy)
        log.info("%s: %d labelled requests to %s", options.name, len(items), options.endpoint)
        quality = judge_answers(task, items, models, replies, most)
        levels = measure_levels(task, items, models, replies, most)
    finally:
        models.close()
    return Trial(options.name, options.endpoint, quality, levels, options.price)


def _amount(site: Site, role: str) -> SiteAmount:
    """The requests of the site's deliveries, as `refrad plan` counts them; headers are not read for this."""
    rates = load_rates()
    unit = rates["tokens"][role]["unit"]
    indexed = [
        (Path(site.folder("results")) / "index" / name / "instances.parquet").exists() for name in site.deliveries
    ]
    try:
        if all(indexed):
            counts = count(site)
        else:
            texts = [count_texts(Path(delivery.reports)) for delivery in site.config.deliveries]
            counts = {name: sum(numbers[name] for numbers in texts) for name in ("reports", "sentences")}
    except FileNotFoundError as error:
        return SiteAmount(None, unit, f"no such file or folder: {error.filename}")
    except ValueError as error:
        return SiteAmount(None, unit, str(error))
    images = max(expected_images(counts, rates).values(), default=0)
    return SiteAmount(request_amounts(counts, images, site.config)[unit], unit)
