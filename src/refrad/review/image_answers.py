"""The pictures and outlines that the review pages fetch."""

from typing import Any

from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from refrad.anatomy.schema import Schema
from refrad.dicom.hanging import TURNS
from refrad.dicom.slices import image_at
from refrad.review.desk import ReviewDesk
from refrad.review.pair_address import key_of, shard_of, whole_number
from refrad.review.pair_view import colours_of, outlines_of
from refrad.review.slice_pictures import draw_slice, encode_grey, outline_path
from refrad.review.volume_shelf import VolumeShelf

__all__ = ["ImageAnswers"]

MOST_CLASSES = 50  # of one request


class ImageAnswers:
    """The answers with pictures and outlines; arguments as those of `PairPages`."""

    def __init__(self, desk: ReviewDesk, shelf: VolumeShelf, schema: Schema) -> None:
        self._desk, self._shelf, self._schema = desk, shelf, schema

    def slice_picture(self, request: Request) -> Response:
        """A slice of a volume in full resolution under a window."""
        query = request.query_params
        volume = self._shelf.volume(shard_of(request), query.get("volume", ""))
        index = whole_number(query.get("index", ""))
        if volume is None or not 0 <= index < volume.voxels.shape[2]:
            raise HTTPException(404, "no such slice")
        grey = draw_slice(_turned(image_at(volume.voxels, index), request), volume.modality, query.get("window", ""))
        return Response(encode_grey(grey), media_type="image/png")

    def stored_picture(self, request: Request) -> Response:
        """The picture of the dataset, in the channel that is most like a window."""
        key = key_of(request)
        grey = self._desk.picture(self._desk.pair(key), request.query_params.get("window", ""))
        return Response(encode_grey(grey), media_type="image/png")

    def outlines(self, request: Request) -> Response:
        """The outlines of some classes in a slice of the label volume."""
        query = request.query_params
        classes = self._shelf.classes(shard_of(request), query.get("volume", ""))
        index = whole_number(query.get("index", ""))
        if classes is None or not 0 <= index < classes.shape[2]:
            return JSONResponse([])
        labels = _turned(image_at(classes, index), request)
        chosen = sorted({whole_number(name) for name in query.get("classes", "").split(",")[:MOST_CLASSES]})
        paths = [(class_id, outline_path(labels == class_id)) for class_id in chosen if class_id > 0]
        return JSONResponse([{"class_id": class_id, "path": path} for class_id, path in paths if path])

    def other_outlines(self, request: Request) -> Response:
        """The outlines of the classes of an image that its caption does not name."""
        pair = self._desk.pair(key_of(request))
        named = colours_of(pair.caption["entities"])
        others = {structure["class_id"] for structure in pair.row["structures"]} - named.keys()
        views = outlines_of(pair.row, others, {}, self._schema)
        return JSONResponse([{"name": view.name, "path": view.path} for view in views])


def _turned(image: NDArray[Any], request: Request) -> NDArray[Any]:
    """A slice [row, column] as the dataset has it, by the name of the turn in the address."""
    turn = TURNS.get(request.query_params.get("turn", "none"))
    if turn is None:
        raise HTTPException(404, "no such turn")
    return turn.image(image)
