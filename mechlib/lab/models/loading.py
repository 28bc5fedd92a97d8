"""Models: loaded from this machine, checked, and described. The only file that names TransformerLens's classes.

Nothing here downloads: a Hub model is read from its snapshot in the cache, by path. Weights are read from
safetensors only, computed with in float32 (for exploring also in bfloat16), and refused where they are damaged, NaN
or infinite. Of large models one is kept in memory for the next measurement, small ones several.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias, get_args
from weakref import WeakKeyDictionary, WeakValueDictionary

# Before transformers is imported: it reads this once, and would otherwise ask the Hub about local directories.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from mechlib.checkpoints import native
from mechlib.checkpoints.checkpoint import DITHERED, Checkpoint, Dtype, is_filed
from mechlib.checkpoints.described.memory import memory
from mechlib.checkpoints.files import config_hashes, require_here, weight_hash
from mechlib.checkpoints.planted import BOS, UNK, Plan, plan
from mechlib.checkpoints.resolve import checkpoint
from mechlib.checkpoints.tokenizer import read_tokenizer
from mechlib.lab.models import planted_weights as planted
from mechlib.lab.models.checks import check_recorded, check_tokenizer, check_weights, weights_now
from mechlib.lab.models.dithering import dithered
from mechlib.lab.models.huggingface import cannot_wrap, check_same, logits_of, probe, trained
from mechlib.lab.models.native import boot, write
from mechlib.lab.models.twins import permuted, seed_of, shuffled, untrained

Model: TypeAlias = TransformerBridge
_Key: TypeAlias = tuple[object, ...]

SMALL = 10_000_000  # parameters: below, a second thread costs more than it brings, and several models are kept
KEPT = 8  # small models kept for the next measurement; of large ones one, so that twins never stand beside their model

_DESCRIBED: WeakKeyDictionary[Model, Checkpoint] = WeakKeyDictionary()
_KEPT: OrderedDict[_Key, tuple[Model, bool]] = OrderedDict()  # each with whether it is large, last used last
_HELD: WeakValueDictionary[_Key, Model] = WeakValueDictionary()  # these, and what somebody else still holds
_WRITTEN: WeakKeyDictionary[Model, tuple[object, ...]] = WeakKeyDictionary()  # weights as they were loaded
_THREADS = torch.get_num_threads()


def load(name: str, device: str | None = None, folded: bool = False, dtype: Dtype = "float32") -> Model:
    """The model of this name, in evaluation mode, checked.

    device   "cpu", "cuda", "mps"; default MECHLIB_DEVICE, else cpu
    folded   False: weights as stored. True: LayerNorm folded, writing weights and unembedding centred, as in the
             literature (direct attribution, logit lens and residual norms differ between the two)
    dtype    what it computes in. "bfloat16" is for exploring: half of the memory, and two to three digits. It runs
             through hooks only (`network`, and what computes with it, refuses it); evidence is never measured in it

    Loading the same name again gives the same object while its weights, configuration, tokenizer and BOS hash to the
    same key as in evidence, and nobody wrote to its weights. A large model (10 million parameters) that is loaded
    takes the place of the one before: of a model and its twins one is in memory at a time, unless somebody holds both.
    Raises UnknownModel, WeightsMissing (one to fetch that is not here), IncompleteModel (files missing, damaged, NaN;
    tensors missing, of no use, or of another shape; a packaged model that is not the recorded one), NotTheSameModel
    (on one prompt, logits are not those of Hugging Face's own forward pass: the library leaves out a setting of
    config.json);
    ValueError for a planted model folded, which has no norms to fold, and for another dtype; RuntimeError for bfloat16
    where evidence is measured.
    """
    _require_dtype(name, dtype)
    described = checkpoint(name)
    require_here(described)
    device = _device(device)
    hashes = weight_hash(described), *config_hashes(described), described.bos  # by which evidence knows a model
    key = (name, described.path, *hashes, device, folded, dtype)
    parameters = memory(described).parameters
    large = parameters >= SMALL
    torch.set_num_threads(_threads(parameters))
    model = _HELD.get(key)
    if model is not None and _WRITTEN[model] == weights_now(model):
        model.reset_hooks()
        _make_room(key, large)
    else:
        model = None
        _KEPT.pop(key, None)  # what somebody wrote to
        _make_room(key, large)
        if large:
            gc.collect()  # a model's parts know each other, so that counting references does not free it
        model = _boot(described, device, folded)
        if dtype != "float32":
            _convert(model, dtype)
        _HELD[key], _WRITTEN[model] = model, weights_now(model)
    _KEPT[key] = (model, large)
    _KEPT.move_to_end(key)
    return model


def checkpoint_of(model: Model) -> Checkpoint:
    """The checkpoint of a loaded model, with its name, BOS and weight processing ("raw" or "folded").

    Raises ValueError for a model that neither `load` nor `describe` has seen.
    """
    try:
        return _DESCRIBED[model]
    except (KeyError, TypeError):  # of what is no model, no weak reference can be made
        raise ValueError(
            "this model was not loaded by mechlib: use load(name) or describe(model, checkpoint)"
        ) from None


def describe(model: Model, described: Checkpoint) -> Model:
    """Give a model that was made in memory its checkpoint; returns the model. Checks its tokenizer as `load` does."""
    check_tokenizer(described, model.tokenizer)
    _DESCRIBED[model] = described
    return model


def _device(asked: str | None) -> str:
    device = asked or os.environ.get("MECHLIB_DEVICE") or "cpu"
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = device.partition(":")[0]
    if kind not in here:
        raise ValueError(f"no device {device!r}: choose one of {', '.join(here)}")
    if not here[kind]:
        raise ValueError(f"device {device!r} is not on this machine: use --device cpu, or unset MECHLIB_DEVICE")
    return device


def _threads(parameters: int) -> int:
    """One for small models and for xdist's workers: sums then have one order, so evidence is the same to the bit."""
    return 1 if parameters < SMALL or "PYTEST_XDIST_WORKER" in os.environ else _THREADS


def _make_room(key: _Key, large: bool) -> None:
    """Forgets what makes room for the model of this key: every other large one for a large one, else the small one that
    was not used for longest, where there are too many."""
    others = [other for other, (_, as_large) in _KEPT.items() if other != key and as_large == large]
    for other in others[: None if large else max(0, len(others) + 1 - KEPT)]:
        del _KEPT[other]


def _require_dtype(name: str, dtype: str) -> None:
    if dtype not in get_args(Dtype):
        raise ValueError(f"no dtype {dtype!r}: choose {' or '.join(get_args(Dtype))}")
    if dtype != "float32" and is_filed():
        raise RuntimeError(f"{name} is asked for in {dtype}, and evidence is measured in float32: leave out dtype")


def _convert(model: Model, dtype: Dtype) -> None:
    """The weights in another dtype, after all checks. Tables of rotary positions stay: rounded, they turn too far."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(getattr(torch, dtype))
    model.cfg.dtype = getattr(torch, dtype)
    _DESCRIBED[model] = replace(_DESCRIBED[model], dtype=dtype)


def _boot(described: Checkpoint, device: str, folded: bool) -> Model:
    planned = plan(described.parent)
    if planned is not None:
        return _boot_planted(described, planned, device, folded)
    if native.configuration(described.path) is not None:
        return _boot_native(described, device, folded)
    return _boot_directory(described, device, folded)


def _boot_directory(described: Checkpoint, device: str, folded: bool) -> Model:
    """A model from a directory of Hugging Face's, which computes what Hugging Face's own model does."""
    check_weights(described)
    with quiet(), torch.random.fork_rng(devices=[]):
        tokenizer = read_tokenizer(described.path)
        check_tokenizer(described, tokenizer)
        theirs = _theirs(described).to(device)
        check_recorded(described, tokenizer, theirs)
        prompt = probe(theirs, [tokenizer.convert_tokens_to_ids(described.bos)] if described.bos else [])
        wanted = logits_of(theirs, prompt)  # before it is wrapped: afterwards it runs through the library's parts
        model = _wrapped(described, theirs, tokenizer, device)
        model.eval()
        check_same(described.name, theirs.config, wanted, logits_of(model, prompt))
        if folded:
            model.enable_compatibility_mode(disable_warnings=True)
            wanted, seen = (logits.log_softmax(-1) for logits in (wanted, logits_of(model, prompt)))
            check_same(f"{described.name}, folded,", theirs.config, wanted, seen)  # a constant of all logits may go
    model.eval().requires_grad_(False)
    _DESCRIBED[model] = replace(described, processing="folded" if folded else "raw")
    return model


def _theirs(described: Checkpoint) -> PreTrainedModel:
    """Hugging Face's own model of a directory, or what is made of it."""
    path = str(described.path)
    if described.twin == "untrained":
        return untrained(path, seed_of(described))
    if described.twin == DITHERED:
        return dithered(path)
    return permuted(path) if described.twin else trained(path)


def _wrapped(described: Checkpoint, theirs: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: str) -> Model:
    """Hugging Face's model with the library's hooks, and with its tokenizer as the file has it."""
    path = str(described.path)
    try:
        model = Model.boot_transformers(path, device=device, dtype=torch.float32, tokenizer=tokenizer, hf_model=theirs)
    except Exception as error:  # whatever the library comes up with for a family or a setting that it does not know
        raise cannot_wrap(described.name, theirs.config, error) from error
    # The library exchanges the tokenizer for one that it makes from the family's name. Its public setter would
    # do so again, and change the recorded vocabulary.
    model._tokenizer = tokenizer
    if model.tokenizer is not tokenizer:
        raise RuntimeError("transformer-lens keeps its tokenizer elsewhere now: load it as the file has it")
    model.cfg.tokenizer_prepends_bos = bool(tokenizer("")["input_ids"])
    return model


def _boot_native(described: Checkpoint, device: str, folded: bool) -> Model:
    check_weights(described)
    with quiet(), torch.random.fork_rng(devices=[]):
        model = boot(described, device, folded)
    return describe(model, replace(described, processing="folded" if folded else "raw"))


def _boot_planted(described: Checkpoint, planned: Plan, device: str, folded: bool) -> Model:
    if folded:
        raise ValueError(f"{described.name} has no norms to fold: load it raw")
    words = {word: number for number, word in enumerate(planned.vocabulary)}
    made = Tokenizer(WordLevel(words, unk_token=UNK))
    made.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=BOS, unk_token=UNK)
    shape = TransformerBridgeConfig(
        d_model=planned.d_model,
        d_head=planned.d_head,
        n_heads=planned.n_heads,
        n_layers=planned.n_layers,
        n_ctx=planned.n_ctx,
        d_mlp=planned.d_mlp,
        d_vocab=len(words),
        act_fn="relu",
        normalization_type=None,
        seed=seed_of(described),
        default_prepend_bos=True,
    )
    with quiet():
        model = Model.boot_native(shape, device=device, model_name=described.parent)
    model._tokenizer = tokenizer  # given to boot_native, it would be read from disk again
    if described.twin != "untrained":
        weights = planted.weights(planned)
        write(model, {name: shuffled(name, one) if described.twin else one for name, one in weights.items()})
    model.eval().requires_grad_(False)
    return describe(model, described)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence other people's progress bars and notices while they load; nothing of ours is said here."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    disabled = logging.root.manager.disable
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
