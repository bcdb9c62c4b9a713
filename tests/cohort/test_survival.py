"""Times and events from the sample table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genodl.cohort.survival import survival
from genodl.errors import InputError


def table(**columns):
    length = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=[f"s{n}" for n in range(length)])


TIMES = [float(t) for t in range(1, 31)]
EVENTS = [1, 1, 0] * 10


@pytest.mark.parametrize(
    "events", [EVENTS, [float(e) for e in EVENTS], [e == 1 for e in EVENTS],
               ["TRUE" if e else "FALSE" for e in EVENTS], [str(e) for e in EVENTS]]
)  # fmt: skip
def test_times_and_events_are_read_however_truth_is_written(events):
    found = survival(table(time=TIMES, event=events), "time", "event")
    assert (found.name, found.kind, found.classes) == ("time,event", "survival", ())
    np.testing.assert_array_equal(found.values, TIMES)
    np.testing.assert_array_equal(found.event, EVENTS)


def test_a_sample_that_lacks_either_is_missing():
    found = survival(table(t=[None, *TIMES], e=[1, *EVENTS[:-1], None]), "t", "e")
    assert found.observed.tolist() == [False] + [True] * 29 + [False]
    assert np.isnan(found.event[[0, -1]]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": [0.0, *TIMES[1:]]}, "time 'time' is '0.0' in sample 's0' (1 such), expected"),
        ({"time": [*TIMES[1:], -2.0]}, "is '-2.0' in sample 's29'"),
        ({"time": [*TIMES[1:], np.inf]}, "expected a number above 0"),
        ({"time": ["6 months", *TIMES[1:]]}, "'6 months' in sample 's0'"),
        ({"event": ["alive", "dead", "dead"] * 10}, "holds 'alive', 'dead', expected 0 and 1"),
        ({"event": ["alive", "dead", "dead"] * 10}, "code 1 where the event was seen, 0 where"),
        ({"event": [1, 2, 2] * 10}, "event 'event' holds '1', '2', expected 0 and 1"),
        ({"event": [0] * 30}, "0 events were seen, fewer than 20"),
        ({"event": [1] * 19 + [0] * 11}, "19 events were seen"),
        ({"event": [1] * 15 + [None] * 15}, "15 samples have a time and an event"),
    ],
)
def test_what_is_no_follow_up_is_refused_in_one_line(change, message):
    with pytest.raises(InputError) as fault:
        survival(table(**{"time": TIMES, "event": EVENTS} | change), "time", "event")
    assert message in str(fault.value)
    assert str(fault.value).startswith("phenotype 'time,event': ")
    assert "\n" not in str(fault.value)


def test_an_unknown_column_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"no column named 'tme'; the nearest are 'time'"):
        survival(table(time=TIMES, event=EVENTS), "tme", "event")
