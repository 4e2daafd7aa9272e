"""RFC 6962's tree: its well-known vectors, proofs accepted and rejected, and the definition as the oracle."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.log import merkle
from authority.log.merkle import ProofError

# The eight leaves of the certificate-transparency reference tests, and the root of each prefix.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [  # index, size, proof
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [  # first, second, proof
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


class Tree:
    """A tree grown by `extend`, seen through its nodes."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.size = 0
        self.frontier: list[bytes] = []
        self.nodes: dict[tuple[int, int], bytes] = {}
        for data in leaves:
            leaf = merkle.leaf_hash(data)
            self.nodes[0, self.size] = leaf
            self.frontier, completed = merkle.extend(self.size, self.frontier, leaf)
            self.nodes.update({(level, position): value for level, position, value in completed})
            self.size += 1

    def node(self, level: int, position: int) -> bytes:
        return self.nodes[level, position]


def definition(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962, 2.1, defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + definition(leaves[:k]) + definition(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_rfc6962_roots(size: int) -> None:
    tree = Tree(LEAVES[:size])
    assert merkle.root(size, tree.node).hex() == ROOTS[size]
    assert merkle.frontier_root(tree.frontier).hex() == ROOTS[size]
    assert len(tree.frontier) == size.bit_count()


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_rfc6962_inclusion_accept(index: int, size: int, proof: list[str]) -> None:
    made = merkle.inclusion_proof(index, size, Tree(LEAVES).node)
    assert [value.hex() for value in made] == proof
    merkle.verify_inclusion(merkle.leaf_hash(LEAVES[index]), index, size, made, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("first", "second", "proof"), CONSISTENCY)
def test_rfc6962_consistency_accept(first: int, second: int, proof: list[str]) -> None:
    made = merkle.consistency_proof(first, second, Tree(LEAVES).node)
    assert [value.hex() for value in made] == proof
    merkle.verify_consistency(first, second, bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second]), made)


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_rfc9162_inclusion_reject(index: int, size: int, proof: list[str]) -> None:
    path = [bytes.fromhex(value) for value in proof]
    leaf, root = merkle.leaf_hash(LEAVES[index]), bytes.fromhex(ROOTS[size])
    wrong: list[tuple[bytes, int, int, list[bytes], bytes, str]] = [
        (leaf, -1, size, path, root, "out_of_range"),
        (leaf, size, size, path, root, "out_of_range"),
        (leaf, index, 0, path, root, "out_of_range"),
        (bytes(32), index, size, path, root, "wrong_root"),
        (leaf, index, size, path, bytes(32), "wrong_root"),
        (leaf, index, size, [*path, bytes(32)], root, "wrong_length"),
    ]
    if path:
        wrong.append((leaf, index, size, path[:-1], root, "wrong_length"))
        wrong.append((leaf, index, size, [*path[:-1], bytes(32)], root, "wrong_root"))
        wrong.append((leaf, index ^ 1, size, path, root, "wrong") if (index ^ 1) < size else wrong[0])
    for case in wrong:
        with pytest.raises(ProofError) as caught:
            merkle.verify_inclusion(*case[:5])
        assert caught.value.code.startswith(case[5])


@pytest.mark.parametrize(("first", "second", "proof"), CONSISTENCY)
def test_rfc9162_consistency_reject(first: int, second: int, proof: list[str]) -> None:
    path = [bytes.fromhex(value) for value in proof]
    old, new = bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second])
    wrong: list[tuple[int, int, bytes, bytes, list[bytes]]] = [
        (0, second, old, new, path),
        (second + 1, second, old, new, path),
        (first, second, bytes(32), new, path),
        (first, second, old, bytes(32), path),
        (first, second, old, new, [*path, bytes(32)]),
    ]
    if path:
        wrong += [
            (first, second, old, new, []),
            (first, second, old, new, path[:-1]),
            (first, second, old, new, [bytes(32), *path[1:]]),
            (first, second, new, old, path),
        ]
    for case in wrong:
        with pytest.raises(ProofError):
            merkle.verify_consistency(*case)


@given(st.lists(st.binary(max_size=4), max_size=70), st.data())
def test_every_proof_of_every_tree_verifies(leaves: list[bytes], data: st.DataObject) -> None:
    tree = Tree(leaves)
    size = len(leaves)
    assert merkle.root(size, tree.node) == definition(leaves)
    if not leaves:
        return
    first = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, first - 1))
    root = merkle.root(first, tree.node)
    assert root == definition(leaves[:first])
    merkle.verify_inclusion(
        merkle.leaf_hash(leaves[index]), index, first, merkle.inclusion_proof(index, first, tree.node), root
    )
    merkle.verify_consistency(first, size, root, definition(leaves), merkle.consistency_proof(first, size, tree.node))
    other = bytes([root[0] ^ 1]) + root[1:]
    with pytest.raises(ProofError):
        merkle.verify_consistency(
            first, size, other, definition(leaves), merkle.consistency_proof(first, size, tree.node)
        )


def test_proofs_out_of_range_are_refused() -> None:
    tree = Tree(LEAVES)
    for index, size in ((-1, 8), (8, 8), (0, 0)):
        with pytest.raises(ProofError, match="leaf"):
            merkle.inclusion_proof(index, size, tree.node)
    for first, second in ((0, 8), (9, 8)):
        with pytest.raises(ProofError, match="consistency"):
            merkle.consistency_proof(first, second, tree.node)
