"""Groups of images that could be asked the same question and have different answers to it.

If one image of each group is asked, and each answer in turn, then each answer to the words of a question is right equally often, however
common a structure is: the words alone say nothing about the answer.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Offer", "match_groups"]

MAX_WAITING = 16  # offers of one key that wait for partners; the oldest gives way


@dataclass(frozen=True)
class Offer:
    """A question that an image may be asked.

    Attributes:
        image: number of the image.
        key: the question, equal for all images that may share it.
        answer: of this image.
        structure: class that the question names, or None.
    """

    image: int
    key: Hashable
    answer: Any
    structure: int | None = None


def match_groups(
    images: Iterable[int],
    offers_of: Callable[[int], Iterable[Offer]],
    is_free: Callable[[int], bool],
    fits: Callable[[Offer, Offer], bool],
    size: int,
) -> Iterator[list[Offer]]:
    """Groups of `size` offers with one key, each of which fits each other one. An image is in one group at most.

    Args:
        images: in the order in which they look for partners.
        offers_of: the offers of an image, best first.
        is_free: whether an image can be asked a question.
        fits: whether two offers of one key can be in a group; symmetric.
        size: members of a group, 2 or more.
    """
    waiting: dict[Hashable, deque[Offer]] = {}
    grouped: set[int] = set()
    for image in images:
        if not is_free(image):
            continue
        offers = list(offers_of(image))
        for offer in offers:
            group = [offer]
            for candidate in waiting.get(offer.key, ()):
                if candidate.image in grouped:
                    continue
                for member in group:
                    if not fits(candidate, member):
                        break
                else:
                    group.append(candidate)
                    if len(group) == size:
                        break
            if len(group) == size:
                grouped.update(member.image for member in group)
                yield group
                break
        else:
            for offer in offers:
                queue = waiting.setdefault(offer.key, deque(maxlen=MAX_WAITING))
                while queue and queue[0].image in grouped:
                    queue.popleft()
                queue.append(offer)
