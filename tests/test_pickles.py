"""Pickles are read as data, never run."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgmg.data.pickles import load_plain
from sgmg.errors import InputError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    | st.tuples(inner, inner),
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(content=PLAIN)
def test_plain_content_is_read(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.mktemp("pickles") / "plain.p"
    path.write_bytes(pickle.dumps(content, protocol=4))
    assert load_plain(path) == content


def test_pickles_of_python_2_are_read_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "two.p"
    path.write_bytes(b"(lp0\nS'caf\\xc3\\xa9'\np1\naI7\naL8L\na.")
    assert load_plain(path) == ["café", 7, 8]


class Hostile:
    """Runs a command when unpickled by others."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_is_refused_by_name(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps([{"ref_id": Hostile(os.system, f"touch {tmp_path / 'run'}")}], protocol=protocol))
    with pytest.raises(
        InputError, match=rf"refs\(unc\)\.p asks for '{os.name if os.name == 'nt' else 'posix'}\.system'"
    ):
        load_plain(path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "__import__", "bytearray"])
def test_built_in_functions_are_no_data_either(tmp_path: Path, name: str) -> None:
    path = tmp_path / "hostile.p"
    path.write_bytes(b"cbuiltins\n" + name.encode() + b"\n(S'1'\ntR.")
    with pytest.raises(InputError, match=f"builtins.{name}"):
        load_plain(path)


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2, 3])[:-3], b"\x80\x05\x8a\xff", b"."])
def test_damaged_pickles_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.p"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.p is not a readable pickle") as caught:
        load_plain(path)
    assert "\n" not in str(caught.value)


def test_a_missing_pickle_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.p is missing"):
        load_plain(tmp_path / "nothing.p")
