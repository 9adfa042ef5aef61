"""The mask head of the segmentation variant: the hidden state at `</seg>` prompts it for the mask of the phrase before.

The parts are those of SAM's mask decoder in transformers; there is no image encoder besides the vision tower.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import PaliGemmaConfig
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder

__all__ = ["HEAD_FILE", "MaskHead", "load_head", "mask_loss", "save_head"]

HEAD_FILE = "mask_head.safetensors"
WIDTH = 256  # of prompts and image embeddings, as in the paper; not more than the model's own
HEADS = 8
FOCAL_GAMMA, FOCAL_ALPHA = 2.0, 0.25  # of SAM


class MaskHead(nn.Module):
    """Masks from patches and prompts.

    Args:
        config: of the PaliGemma it belongs to.
        end: id of the token `</seg>`.
        seed: of its random weights.
    """

    def __init__(self, config: PaliGemmaConfig, end: int, seed: int) -> None:
        super().__init__()
        vision: Any = config.vision_config
        text = config.get_text_config()
        self.side = vision.image_size // vision.patch_size
        width = min(WIDTH, text.hidden_size)
        self.end = end
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.image = nn.Linear(vision.hidden_size, width)
            self.prompt = nn.Sequential(nn.Linear(text.hidden_size, width), nn.GELU(), nn.Linear(width, width))
            self.places = nn.Parameter(torch.randn(1, width, self.side, self.side) * 0.1)
            decoder = SamMaskDecoderConfig(
                hidden_size=width,
                mlp_dim=4 * width,
                num_attention_heads=HEADS,
                num_multimask_outputs=1,
                iou_head_hidden_dim=8,  # its guess of the quality of a mask is not used
            )
            decoder._attn_implementation = "eager"
            self.decoder = SamMaskDecoder(decoder)

    def forward(self, patches: Tensor, hidden: Tensor, ends: Tensor, size: int, images: Tensor | None = None) -> Tensor:
        """Mask logits float32 [masks, size, size].

        Args:
            patches: float [images, patches, vision width], the vision tower's output, row by row.
            hidden: float [batch, length, text width], the language model's last hidden state.
            ends: int64 [masks, 2], row and position of each `</seg>`.
            size: side of the masks, px.
            images: int64 [masks], which image each belongs to; None: that of its row.
        """
        if not len(ends):
            return hidden.new_zeros((0, size, size), dtype=torch.float32)
        embedded = self.image(patches).transpose(1, 2).unflatten(2, (self.side, self.side))
        embedded = embedded[ends[:, 0] if images is None else images]
        prompts = self.prompt(hidden[ends[:, 0], ends[:, 1]])[:, None, None]
        places = self.places.expand(len(ends), -1, -1, -1).to(embedded.dtype)
        masks, _ = self.decoder(embedded, places, prompts, torch.zeros_like(embedded), multimask_output=False)
        return functional.interpolate(masks[:, 0].float(), (size, size), mode="bilinear", align_corners=False)[:, 0]


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Focal plus dice loss, each the mean over masks; 0 without any.

    Args:
        logits: float32 [masks, height, width].
        masks: bool or 0 and 1, of the same shape.
    """
    if not len(logits):
        return logits.sum()
    true = masks.to(logits.dtype)
    plain = functional.binary_cross_entropy_with_logits(logits, true, reduction="none")
    chance = torch.sigmoid(logits)
    miss = chance * (1 - true) + (1 - chance) * true
    weight = FOCAL_ALPHA * true + (1 - FOCAL_ALPHA) * (1 - true)
    focal = (weight * miss**FOCAL_GAMMA * plain).mean()
    intersection, total = (chance * true).sum((1, 2)), chance.sum((1, 2)) + true.sum((1, 2))
    return focal + (1 - (2 * intersection + 1) / (total + 1)).mean()


def save_head(head: MaskHead, folder: Path) -> None:
    """Write the head next to the model, which stays a stock PaliGemma."""
    save_file({name: tensor.contiguous() for name, tensor in head.state_dict().items()}, folder / HEAD_FILE)


def load_head(config: PaliGemmaConfig, end: int, folder: Path) -> MaskHead | None:
    """The head of a folder, or None if it has none."""
    if not (folder / HEAD_FILE).exists():
        return None
    head = MaskHead(config, end, seed=0)
    head.load_state_dict(load_file(folder / HEAD_FILE))
    return head
