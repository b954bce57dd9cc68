"""Model files with changed parts, for tests of how they are refused."""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile

import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from deepscore.errors import ModelFileError
from deepscore.model import file as modelfile
from synthetic import full_model, peak_model, random_model

CONTENT = modelfile.to_bytes(full_model(n_features=12, hidden=(5,)))
PEAKS = peak_model(n_features=12)
VERSION_3 = modelfile.to_bytes(PEAKS)
VERSION_1 = modelfile.to_bytes(random_model(n_features=12, hidden=(5,)))


def manifest_in(content):
    """Read the manifest the way any program can: a length, a JSON header, a JSON text in it."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["deepscore"])


def inspected(content):
    """Read the manifest from a file, with all checks that need no tensor."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return modelfile.inspect_model(file.name)


def digest(manifest, tensors):
    """Return the digest that the definition of the format asks for."""
    rest = {name: value for name, value in manifest.items() if name != "content_sha256"}
    found = hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
    for name in sorted(tensors):
        found.update(f"{name}:{tensors[name].dtype.str}:{tensors[name].shape}".encode() + tensors[name].tobytes())
    return found.hexdigest()


def repacked(change_manifest=None, change_tensors=None, seal=False, content=CONTENT):
    """Return the file with its parts changed; sealed with a digest that fits, or with the old one."""
    manifest, tensors = manifest_in(content), load_tensors(content)
    for change, part in ((change_manifest, manifest), (change_tensors, tensors)):
        if change is not None:
            change(part)
    if seal:
        manifest["content_sha256"] = digest(manifest, tensors)
    return save_tensors(tensors, {"deepscore": json.dumps(manifest, ensure_ascii=False)})


def with_header(text, content=CONTENT):
    """Return the file with another header."""
    (length,) = struct.unpack("<Q", content[:8])
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def header_with(**entries):
    (length,) = struct.unpack("<Q", CONTENT[:8])
    return json.dumps(json.loads(CONTENT[8 : 8 + length]) | entries).encode()


def code_of(content):
    with pytest.raises(ModelFileError) as caught:
        modelfile.from_bytes(content)
    return caught.value.code


def put(*path_and_value):
    """Return a change that sets one value deep in a manifest."""
    *path, last, value = path_and_value

    def change(manifest):
        for key in path:
            manifest = manifest[key]
        manifest[last] = value

    return change


def value(name, content, where=0):
    def change(tensors):
        tensors[name].flat[where] = content

    return change


def replaced(name, convert):
    def change(tensors):
        tensors[name] = convert(tensors[name])

    return change
