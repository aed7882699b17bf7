import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beamctl.store.canonical import browser_json, canonical, utc_text

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_what_json_can_say_comes_back(value):
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text
    assert text.isascii()


def test_order_of_keys_does_not_matter():
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1}) == '{"a":2,"b":1}'


class Colour(StrEnum):
    RED = "red"


@dataclass
class Point:
    x: float
    colour: Colour


def test_what_json_cannot_say_becomes_what_it_can():
    assert canonical([math.nan, math.inf, -math.inf]) == '["NaN","Infinity","-Infinity"]'
    assert canonical(np.array([[1.5, math.nan], [2.0, 3.0]])) == '[[1.5,"NaN"],[2.0,3.0]]'
    assert canonical({"n": np.float64(0.1), "i": np.int64(3), "b": np.bool_(True)}) == '{"b":true,"i":3,"n":0.1}'
    assert canonical(Point(0.5, Colour.RED)) == '{"colour":"red","x":0.5}'
    assert canonical((1, {2: None})) == '[1,{"2":null}]'


def test_time_has_one_text():
    time = datetime(2026, 1, 31, 12, 0, 0, 0, UTC)
    assert utc_text(time) == "2026-01-31T12:00:00.000000Z"
    assert utc_text(time.astimezone(timezone(timedelta(hours=8)))) == utc_text(time)
    assert canonical({"t": time}) == '{"t":"2026-01-31T12:00:00.000000Z"}'


@given(PLAIN)
def test_browsers_get_what_json_can_say(value):
    assert json.loads(browser_json(value)) == value


def test_browsers_get_null_for_what_is_not_finite():
    assert browser_json([math.nan, math.inf, -math.inf, 0.5]) == "[null,null,null,0.5]"
    assert browser_json({"x": np.array([[1.5, math.nan]]), "y": np.float32(math.inf)}) == '{"x":[[1.5,null]],"y":null}'
    assert browser_json(Point(math.nan, Colour.RED)) == '{"x":null,"colour":"red"}'
