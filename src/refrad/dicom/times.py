"""Times of an image in seconds, as its header gives them, to tell the passes of a series apart."""

import re
from datetime import date

from refrad.dicom.elements import Values, number_of, text_of

__all__ = ["HALF_A_DAY", "TIME_KEYWORDS", "Times", "times_of"]

Times = tuple[float | None, ...]

DAY, HALF_A_DAY = 86400, 43200  # s
MOMENTS = ["FrameAcquisitionDateTime", "FrameReferenceDateTime", "AcquisitionDateTime"]
TIME_KEYWORDS = [
    *MOMENTS,
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "TemporalPositionTimeOffset",
]
DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
TIME = re.compile(r"(\d\d):?(\d\d)?:?(\d\d)?(\.\d+)?")  # with the colons of the first standard


def times_of(values: Values) -> Times:
    """Seconds of the acquisition (by date and time in one, then by separate ones), of the content, and from a series' start.

    Without a date, a time counts from midnight. Each is None where the header has none.
    """
    moment = next((text for keyword in MOMENTS if (text := text_of(values, keyword))), "")
    return (
        _seconds(moment[:8], moment[8:]),
        _seconds(text_of(values, "AcquisitionDate"), text_of(values, "AcquisitionTime")),
        _seconds(text_of(values, "ContentDate"), text_of(values, "ContentTime")),
        number_of(values, "TemporalPositionTimeOffset"),
    )


def _seconds(day: str, time: str) -> float | None:
    """Seconds since the first day of the calendar, or since midnight if `day` is no date; None without a time."""
    parts = TIME.match(time)
    if not parts:
        return None
    hours, minutes, seconds = (int(part or 0) for part in parts.groups()[:3])
    return _days(day) * DAY + hours * 3600 + minutes * 60 + seconds + float(parts[4] or 0)


def _days(day: str) -> int:
    parts = DATE.fullmatch(day)
    try:
        return date(*(int(part) for part in parts.groups())).toordinal() if parts else 0
    except ValueError:
        return 0
