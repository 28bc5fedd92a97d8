"""TransformerLens on a pretrained model: what `bench_pretrained` times beside ours, in a process of its own."""

from __future__ import annotations

import site
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Head = tuple[int, int]


def peer(path: Path, kind: str, given: tuple[Any, ...]) -> dict[str, Callable[..., Any]]:
    sys.path[:0] = site.getsitepackages()  # a spawned process has its parent's path

    import pandas
    import torch
    from transformer_lens import patching

    torch.set_num_threads(1)
    model = _hooked_transformer(path) if kind == "HookedTransformer" else _bridge(path)
    model.requires_grad_(False)
    clean, other, words = (torch.tensor(one) for one in given)
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(model.cfg.n_layers)]
    known: dict[str, Any] = {}

    def metric(logits: torch.Tensor) -> torch.Tensor:
        answer, distractor = logits[:, -1].gather(1, words).unbind(1)
        return (answer - distractor).mean()

    def kept(tokens: torch.Tensor, *more: tuple[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The metric, and z of every layer."""
        z: dict[str, torch.Tensor] = {}

        def keep(name: str) -> Callable[..., torch.Tensor]:
            return lambda activation, hook: z.setdefault(
                name, activation
            )  # given back, it is what the run goes on with

        with model.hooks(fwd_hooks=[*more, *((name, keep(name)) for name in names)]):
            return metric(model(tokens)), z

    def version() -> str:
        import importlib.metadata

        return f"{kind} {importlib.metadata.version('transformer-lens')}"

    @torch.no_grad()
    def passes() -> float:
        value, known["clean"] = kept(clean)
        known["corrupted"] = float(metric(model(other)))
        return float(value) - known["corrupted"]

    @torch.no_grad()
    def patched(several: list[Head]) -> list[float]:
        frame = pandas.DataFrame([(a, clean.shape[1] - 1, b) for a, b in several], columns=["layer", "pos", "head"])
        setter = patching.layer_pos_head_vector_patch_setter
        made = patching.generic_activation_patch(model, other, known["clean"], metric, setter, "z", index_df=frame)
        return (made - known["corrupted"]).tolist()

    def attribution() -> dict[str, float]:
        with torch.no_grad():
            value, new = kept(clean)
        before, old = kept(other, ("hook_embed", lambda embedded, hook: embedded.requires_grad_()))
        slopes = torch.autograd.grad(before, [old[name] for name in names])
        found = {"total": float(value) - float(before)}
        for layer, (name, slope) in enumerate(zip(names, slopes, strict=True)):
            effects = ((new[name] - old[name].detach()) * slope).sum((0, 1, 3))
            found |= {f"{layer}.{head}": float(one) for head, one in enumerate(effects)}
        return found

    return {"version": version, "passes": passes, "patched": patched, "attribution": attribution}


def _hooked_transformer(path: Path) -> Any:
    """HookedTransformer with the weights of a directory; its own loader asks the Hub for a configuration."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights

    theirs, said = _hugging_face(path)
    cfg = HookedTransformerConfig(
        n_layers=said.num_hidden_layers,
        n_heads=said.num_attention_heads,
        n_key_value_heads=said.num_key_value_heads,
        d_model=said.hidden_size,
        d_head=said.head_dim,
        d_mlp=said.intermediate_size,
        d_vocab=said.vocab_size,
        n_ctx=128,
        eps=said.rms_norm_eps,
        act_fn=said.hidden_act,
        normalization_type="RMS",
        final_rms=True,
        gated_mlp=True,
        positional_embedding_type="rotary",
        rotary_adjacent_pairs=False,
        rotary_dim=said.head_dim,
        rotary_base=int(said.rope_parameters["rope_theta"]),
        device="cpu",
    )
    model = HookedTransformer(cfg)
    model.load_state_dict(convert_llama_weights(theirs, cfg), strict=False)
    return model.eval()


def _bridge(path: Path) -> Any:
    import torch
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    theirs, _ = _hugging_face(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    made = TransformerBridge.boot_transformers(
        str(path), device="cpu", dtype=torch.float32, hf_model=theirs, tokenizer=tokenizer
    )
    return made.eval()


def _hugging_face(path: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    return model, model.config
