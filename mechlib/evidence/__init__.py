"""Evidence: measured once, filed under what was asked, read ever after. `decorator` says how; this is its door."""

from mechlib.evidence.code_hash import EvidenceRefused
from mechlib.evidence.decorator import current, evidence, exploring, provenance, read, uses, using
from mechlib.evidence.lookup import EvidenceUse, NoEvidence
from mechlib.evidence.measuring import NotReproduced
from mechlib.evidence.sealed import DamagedEvidence
from mechlib.evidence.store import Store

__all__ = [
    "DamagedEvidence", "EvidenceRefused", "EvidenceUse", "NoEvidence", "NotReproduced", "Store", "current", "evidence",
    "exploring", "provenance", "read", "uses", "using",
]  # fmt: skip
