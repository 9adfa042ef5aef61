"""Similarity of phrases: the cosine of their embeddings by a local sentence model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refrad.evaluation.metrics.grounding import phrase_key

__all__ = ["Embedder"]


class Embedder:
    """Similarity of texts by the cosine of their embeddings; each distinct text (without regard to case) is embedded once.

    The paper's embedder is google/embeddinggemma-300m; any folder that sentence-transformers can load serves; report its
    name with the score. Small English models are weak for German.

    Raises:
        ValueError: if the folder holds no sentence model.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "modules.json").is_file():
            raise ValueError(f"{folder}: no modules.json there; name the folder of a sentence-transformers model")
        from sentence_transformers import SentenceTransformer

        self._model: Any = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def __call__(self, a: Sequence[str], b: Sequence[str]) -> NDArray[np.float64]:
        """Cosine of each pair of texts, float [n]."""
        pairs = [(phrase_key(left), phrase_key(right)) for left, right in zip(a, b, strict=True)]
        distinct = list(dict.fromkeys(pairs))
        new = [text for text in dict.fromkeys(text for pair in distinct for text in pair) if text not in self._vectors]
        if new:
            vectors = self._model.encode(new, normalize_embeddings=True, show_progress_bar=False)
            self._vectors |= dict(zip(new, vectors, strict=True))
        cosine = {pair: float(self._vectors[pair[0]] @ self._vectors[pair[1]]) for pair in distinct}
        return np.array([cosine[pair] for pair in pairs], np.float64)
