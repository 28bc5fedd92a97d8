"""What the benchmarks share: two processes that work in turn, the model that both have, rates, and the table.

Ours and the peer each live in a process of their own, one thread pinned to one processor, and never work at the same
time. So what is timed is processor time, peak memory is each one's own, and whatever else the machine does meets both.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "artifacts" / "bench.json"
FULL = os.environ.get("FULL") == "1"  # all heads of the peer, instead of one a layer, scaled
for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[threads] = "1"
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

PAIRS, LENGTH, LAYERS, HEADS, WIDTH, HIDDEN, VOCABULARY = 32, 16, 12, 12, 768, 3072, 50257
DIFFERING = 10  # IOI's pairs differ in one token, about two thirds through the prompt
TIMED = [(layer, 5 * layer % HEADS) for layer in range(LAYERS)]  # one head a layer, as (layer, head)


# --- processes ----------------------------------------------------------------------------------------------------


class Side:
    """A process that makes something once, then does what it is asked, and counts seconds and bytes."""

    def __init__(
        self, make: Callable[..., dict[str, Callable[..., Any]]], *arguments: Any, python: str | None = None
    ) -> None:
        """`make`, called with the arguments in the new process, gives its work by name; `python`, whose it is."""
        context = multiprocessing.get_context("spawn")
        context.set_executable(python or sys.executable)
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, make, arguments), daemon=True)
        self.process.start()
        other.close()
        self._answer()

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *failure: object) -> None:
        self.pipe.close()  # which it takes for the end
        self.process.join(10)

    def __call__(self, name: str, *arguments: Any) -> tuple[Any, float]:
        """What the work gives, and its processor seconds."""
        self.pipe.send((name, arguments))
        return self._answer()

    def memory(self) -> float:
        """Peak memory since it was made or forgot the last, MiB: weights, libraries and all."""
        return self("peak")[0]

    def _answer(self) -> tuple[Any, float]:
        try:
            found = self.pipe.recv()
        except EOFError:
            self.process.join(10)
            raise SystemExit(
                f"a benchmark's process ended with {self.process.exitcode}: was it stopped, or is memory short?"
            ) from None
        if isinstance(found, str):
            raise SystemExit(found)
        return found


def _serve(pipe: Any, make: Callable[..., dict[str, Callable[..., Any]]], arguments: tuple[Any, ...]) -> None:
    try:
        sys.stderr = open(os.devnull, "w")  # other people's progress bars
        warnings.simplefilter("ignore")
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        work = {**make(*arguments), "peak": _peak, "forget": _forget_peak}
        _forget_peak()
        pipe.send((None, 0.0))
        while True:
            name, given = pipe.recv()
            start = time.process_time()
            made = work[name](*given)
            pipe.send((made, time.process_time() - start))
    except EOFError:
        pass
    except BaseException:
        pipe.send(traceback.format_exc())


def _forget_peak() -> None:
    """Loading a model takes more memory than having it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def _peak() -> float:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 2**10
    except (OSError, KeyError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


# --- the model and the prompts ------------------------------------------------------------------------------------


def texts(differing: int | None) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Clean and corrupted texts and (answer, distractor): they differ everywhere, or in one word."""
    import random

    draw = random.Random(0)
    rows = [draw.sample(range(2, VOCABULARY), 2 * LENGTH + 2) for _ in range(PAIRS)]
    clean = [row[:LENGTH] for row in rows]
    other = [row[LENGTH : 2 * LENGTH] for row in rows]
    if differing is not None:
        other = [[*a[:differing], b[differing], *a[differing + 1 :]] for a, b in zip(clean, other, strict=True)]
    said = [[" ".join(f"w{word}" for word in words) for words in several] for several in (clean, other)]
    return said[0], said[1], [(f"w{row[-2]}", f"w{row[-1]}") for row in rows]


def directory() -> Path:
    """GPT-2 small's shape with random weights, at the scale of trained ones, and a word for each id."""
    import torch
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    path = Path(tempfile.gettempdir()) / f"bench-{os.getuid() if hasattr(os, 'getuid') else 0}-{os.getpid()}"
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(bos_token_id=None, eos_token_id=None))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".h." in name and parameter.ndim == 2:
                parameter.mul_(3)  # so that heads have an effect that can be compared
    model.save_pretrained(path)
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, **{f"w{n}": n for n in range(1, VOCABULARY)}}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(path)
    return path


def ours(path: Path, differing: int | None = None) -> tuple[Any, Any]:
    """The model as the record loads it, and its prompts."""
    import torch

    from mechlib import Prompt, PromptSet
    from mechlib.lab import load

    torch.set_num_threads(1)
    clean, other, words = texts(differing)
    rows = [Prompt(a, w, b, d) for a, b, (w, d) in zip(clean, other, words, strict=True)]
    return load(str(path)), PromptSet("pairs", "confirmation", tuple(rows))


def peers(path: Path, differing: int | None = None) -> tuple[Any, Any, Any, Any]:
    """The same weights in TransformerLens's HookedTransformer; clean and corrupted ids; ids of both words."""
    import torch
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    from transformers import GPT2LMHeadModel

    torch.set_num_threads(1)
    shape = {"n_layers": LAYERS, "n_heads": HEADS, "d_model": WIDTH, "d_head": WIDTH // HEADS, "d_mlp": HIDDEN}
    cfg = HookedTransformerConfig(
        **shape, n_ctx=1024, act_fn="gelu_new", d_vocab=VOCABULARY, normalization_type="LN", device="cpu"
    )
    model = HookedTransformer(cfg)
    model.load_state_dict(convert_gpt2_weights(GPT2LMHeadModel.from_pretrained(path), cfg), strict=False)
    model.requires_grad_(False)

    def ids(several: list[str]) -> torch.Tensor:
        return torch.tensor([[int(word[1:]) for word in text.split()] for text in several])

    clean, other, words = texts(differing)
    return model, ids(clean), ids(other), torch.tensor([[int(a[1:]), int(d[1:])] for a, d in words])


def rate() -> float:
    """Multiplications and additions a second of a plain float32 matrix product, the best of some."""
    import torch

    a, best = torch.randn(1024, 1024), float("inf")
    for _ in range(10):
        start = time.process_time()
        torch.mm(a, a)
        best = min(best, time.process_time() - start)
    return 2 * 1024**3 / best


# --- the table ----------------------------------------------------------------------------------------------------


def record(
    name: str,
    goal: float,
    seconds: float,
    peer_seconds: float,
    limit_seconds: float | None,
    memory_mb: float,
    peer_memory_mb: float,
    max_difference: float,
    note: str,
    missed: str = "",
) -> bool:
    """Print one comparison, file it in artifacts/bench.json, and return whether it met its goal.

    note    what was compared, for the last line
    missed  another goal that was missed, in words
    """
    ratio = peer_seconds / seconds
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    row = {
        "name": name,
        "ratio": round(ratio, 2),
        "goal": goal,
        "seconds": round(seconds, 3),
        "peer_seconds": round(peer_seconds, 3),
        "limit_seconds": None if limit_seconds is None else round(limit_seconds, 3),
        "memory_mb": round(memory_mb),
        "peer_memory_mb": round(peer_memory_mb),
        "max_difference": float(f"{max_difference:.2g}"),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([*(one for one in known if one["name"] != name), row], indent=1) + "\n")
    missed = missed or (f"the goal is {goal:g}x" if ratio < goal else "")
    share = "" if limit_seconds is None else f"; {seconds / limit_seconds:.2f} of the limit of its multiplications"
    word = f"MISSED: {missed}" if missed else "met"
    print(f"{name:15} {seconds:8.2f} s   {peer_seconds:8.2f} s   {ratio:6.1f}x   {word}")
    print(f"{'':15} {memory_mb:6.0f} MiB   {peer_memory_mb:6.0f} MiB   equal to {max_difference:.1e}{share}")
    print(f"{'':15} {note}", flush=True)
    return not missed
