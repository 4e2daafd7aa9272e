# Solutions of lab 7, and mistakes that its checks have to find. `python docs/labs/lab.py 7` puts the solutions in.


# %% exercise="1"
def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two hashes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


# %% mistake="1"
def leaf_hash(leaf: bytes) -> bytes:
    """Without the byte before it."""
    return hashlib.sha256(leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Without the byte before it."""
    return hashlib.sha256(left + right).digest()


# %% mistake="1"
def leaf_hash(leaf: bytes) -> bytes:
    """The character 0 in the place of the byte 00."""
    return hashlib.sha256(b"0" + leaf).digest()


# %% exercise="2"
def root(leaves: list[bytes]) -> bytes:
    """The root of a tree of one leaf or more."""
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node_hash(root(leaves[:k]), root(leaves[k:]))


# %% mistake="2"
def root(leaves: list[bytes]) -> bytes:
    """Split in the middle."""
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = len(leaves) // 2
    return node_hash(root(leaves[:k]), root(leaves[k:]))


# %% mistake="2"
def root(leaves: list[bytes]) -> bytes:
    """The last leaf doubled where it has no neighbour, as in Bitcoin."""
    row = [leaf_hash(leaf) for leaf in leaves]
    while len(row) > 1:
        row += row[-1:] * (len(row) % 2)
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


# %% exercise="3"
def climb(leaf: bytes, index: int, path: list[bytes]) -> bytes:
    """The root to which this path leads from the leaf with this index, in a tree of 2 ** len(path) leaves."""
    value = leaf_hash(leaf)
    for sibling in path:
        value = node_hash(sibling, value) if index & 1 else node_hash(value, sibling)
        index >>= 1
    return value


# %% mistake="3"
def climb(leaf: bytes, index: int, path: list[bytes]) -> bytes:
    """The sibling always on the right."""
    value = leaf_hash(leaf)
    for sibling in path:
        value = node_hash(value, sibling)
    return value


# %% exercise="4"
def open_checkpoint(note: bytes, key: Pubkey) -> tuple[int, bytes] | None:
    """(size, root) of a checkpoint that this key signed, or None where it did not."""
    body, signature_line = note.decode().split("\n\n")
    signed = base64.b64decode(signature_line.split()[2])
    if not Signature(signed[4:]).verify(key, f"{body}\n".encode()):
        return None
    _, size, encoded = body.split("\n")
    return int(size), base64.b64decode(encoded)


# %% mistake="4"
def open_checkpoint(note: bytes, key: Pubkey) -> tuple[int, bytes] | None:
    """The signature is not looked at."""
    _, size, encoded = note.decode().split("\n\n")[0].split("\n")
    return int(size), base64.b64decode(encoded)


# %% mistake="4"
def open_checkpoint(note: bytes, key: Pubkey) -> tuple[int, bytes] | None:
    """The last line feed is not signed along."""
    body, signature_line = note.decode().split("\n\n")
    signed = base64.b64decode(signature_line.split()[2])
    if not Signature(signed[4:]).verify(key, body.encode()):
        return None
    _, size, encoded = body.split("\n")
    return int(size), base64.b64decode(encoded)


# %% exercise="5"
def audit(evidence: Evidence) -> str:
    """The first check that does not hold: signature, root, history, receipt, meter; or nothing."""
    today, earlier = open_checkpoint(evidence.today, KEY), open_checkpoint(evidence.earlier, KEY)
    if today is None or earlier is None:
        return "signature"
    if today != (len(evidence.leaves), root(evidence.leaves)):
        return "root"
    size, earlier_root = earlier
    if size > len(evidence.leaves) or root(evidence.leaves[:size]) != earlier_root:
        return "history"
    if evidence.leaves[evidence.kept_index] != evidence.kept_leaf:
        return "receipt"
    for leaf in evidence.leaves:
        if leaf[0] == 1 and not Signature(leaf[140:204]).verify(Pubkey(leaf[108:140]), leaf[12:108]):
            return "meter"
    return "nothing"


# %% mistake="5"
def audit(evidence: Evidence) -> str:
    """The department's own figures compared with each other, and with nobody else's."""
    today = open_checkpoint(evidence.today, KEY)
    if today is None:
        return "signature"
    if today != (len(evidence.leaves), root(evidence.leaves)):
        return "root"
    return "nothing"


# %% mistake="5"
def audit(evidence: Evidence) -> str:
    """The tree is trusted: nobody looks at what the meters signed."""
    today, earlier = open_checkpoint(evidence.today, KEY), open_checkpoint(evidence.earlier, KEY)
    if today is None or earlier is None:
        return "signature"
    if today != (len(evidence.leaves), root(evidence.leaves)):
        return "root"
    if root(evidence.leaves[: earlier[0]]) != earlier[1]:
        return "history"
    return "nothing" if evidence.kept_leaf in evidence.leaves else "receipt"


# %% exercise="6"
FOUND_BY = "nothing"

# %% mistake="6"
FOUND_BY = "root"
