"""Adapters of a base model without tokens of boxes, whose projector has several modules."""

import numpy as np
import pytest
import torch
from peft import PeftModel
from tests.factories import options
from tests.factories.qwen import tiny_qwen

from refrad.config import TrainOptions
from refrad.model.base_model import base_model_of
from refrad.model.collate import Sample, collate
from refrad.model.processor import load_processor
from refrad.model.radgrounder import load_model
from refrad.training.adapter_export import Adapter, write_adapter
from refrad.training.objective import batch_loss
from refrad.training.trained_weights import TrainedWeights

SIDE = 64
TEXTS = ["Locate: liver", "The liver is normal."] * 4
SAMPLE = Sample("locate", "en", np.full((SIDE, SIDE, 3), 90, np.uint8), "Locate: liver", "liver")


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_adapters_of_qwen_are_merged_and_loaded_by_peft(tmp_path):
    folder = tiny_qwen(tmp_path, TEXTS)
    processor = load_processor(folder, SIDE)
    model = load_model(folder, processor)
    lora = {"rank": 2, "targets": ["q_proj", "down_proj"]}
    choice = TrainOptions(**options("train", model=str(folder), trained=["projector"], lora=lora))
    trained, batch = TrainedWeights(model, processor, choice), collate(processor, [SAMPLE])
    with torch.no_grad():
        initial = batch_loss(model.eval(), batch).item()
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05
        loss = batch_loss(model, batch).item()
        matrices = trained.adapter()
        trained.merge()
        assert batch_loss(model, batch).item() == pytest.approx(loss, abs=1e-5)
        assert abs(loss - initial) > 1e-3
        projector = base_model_of(model).projector(model)
        modules = [name for name, module in model.named_modules() if any(module is part for part in projector)]
        assert write_adapter(Adapter(matrices, choice.lora, trained.tokens, modules), model, folder, tmp_path / "out")
        loaded = PeftModel.from_pretrained(load_model(folder, processor), tmp_path / "out").eval()
        assert batch_loss(loaded.get_base_model(), batch).item() == pytest.approx(loss, abs=1e-5)
