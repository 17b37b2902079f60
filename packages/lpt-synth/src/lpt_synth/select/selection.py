"""Selection in two passes: the first counts, the second takes.

No list of candidates is ever held: the first pass leaves a few bytes per candidate (``quota.Pool``), from
which each class's quota becomes a cut; the second goes through the captions again and yields what the
cuts take. Time is linear in the thoughts of a question times their logarithm, memory that of one caption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lpt_core import ImageRef, PairKind, PreferencePair, SFTExample, SFTKind
from lpt_synth.config import PairQuota, SelectConfig
from lpt_synth.select import pairs, sft
from lpt_synth.select.examples import preference_pair, sft_example
from lpt_synth.select.question import Question, read_question
from lpt_synth.select.quota import Cut, Pool, question_hash
from lpt_synth.types import CaptionTree

Trees = Callable[[], Iterator[CaptionTree]]


@dataclass(frozen=True, slots=True)
class SelectionCounts:
    """What there was and what was taken, by kind. Kinds that the configuration leaves out have zeros.

    Attributes:
        questions: Questions that were looked at.
        duplicates: Usable thoughts whose text and answer another of the question has; "right_wrong" is
            a right thought continued into a wrong answer.
        sft_pool: Candidates for SFT.
        sft: SFT examples taken.
        pair_pool: Pairs that could be made, each positive once.
        pairs: Pairs taken.
    """

    questions: int
    duplicates: Mapping[str, int]
    sft_pool: Mapping[SFTKind, int]
    sft: Mapping[SFTKind, int]
    pair_pool: Mapping[PairKind, int]
    pairs: Mapping[PairKind, int]

    def funnel(self) -> list[tuple[str, str, int]]:
        """The counts as lines of a funnel: (stage, name, count)."""
        lines = [("select", "questions", self.questions)]
        lines += [("select", f"duplicate.{kind}", count) for kind, count in sorted(self.duplicates.items())]
        for kind in sft.KINDS:
            lines += [("sft", f"{kind}.pool", self.sft_pool[kind]), ("sft", f"{kind}.taken", self.sft[kind])]
        for kind in pairs.KINDS:
            lines.append(("pairs", f"{kind}.pool", self.pair_pool[kind]))
            lines.append(("pairs", f"{kind}.taken", self.pairs[kind]))
        return lines


@dataclass(slots=True)
class Survey:
    """What the first pass learns: how many candidates there are, of which questions, at which depth."""

    questions: int = 0
    duplicates: Counter[str] = field(default_factory=Counter[str])
    right: Pool = field(default_factory=Pool)
    turned: Pool = field(default_factory=Pool)
    pairs: dict[PairKind, Pool] = field(default_factory=lambda: {kind: Pool() for kind in pairs.KINDS})
    pair_pool: Counter[PairKind] = field(default_factory=Counter[PairKind])

    def merge(self, other: Survey) -> None:
        """Add what was learnt of other captions."""
        self.questions += other.questions
        self.duplicates.update(other.duplicates)
        self.right.merge(other.right)
        self.turned.merge(other.turned)
        self.pair_pool.update(other.pair_pool)
        for kind, pool in other.pairs.items():
            self.pairs[kind].merge(pool)


def survey(trees: Iterable[CaptionTree], config: SelectConfig, seed: int) -> Survey:
    """Go through captions once and count what could be selected; parts of a run can be merged."""
    found = Survey()
    for _, question in _questions(trees):
        _survey(found, question, config, seed)
    return found


def select(trees: Trees, config: SelectConfig, seed: int) -> Selection:
    """Decide which thoughts become training examples. Goes through the captions once.

    Args:
        trees: Gives the captions with all that was made of them, anew at each call and the same each
            time. What is selected does not depend on their order, only the order of the output does.
            A caption that comes again (same text, same image) is passed over.
        config: The mix.
        seed: Of the run. The same seed draws the same order within a question whatever other captions
            there are.

    Raises:
        DataError: A continuation does not begin with the thought that it continues.
    """
    return Selection(trees, Decision(config, seed, survey(trees(), config, seed)))


def _survey(survey: Survey, question: Question, config: SelectConfig, seed: int) -> None:
    mcq = question.node.mcq.id
    survey.questions += 1
    survey.duplicates.update(question.duplicates)
    labels = [sft.KINDS.index(candidate.kind) for candidate in sft.right_pool(question, config.sft, seed)]
    survey.right.add(question_hash(seed, "sft.right", mcq), labels)
    turned = sft.turned_count(question, config.sft)
    survey.turned.add(question_hash(seed, "sft.turned", mcq), bytes(turned))
    for kind, quota in _quotas(config):
        count = pairs.pair_count(pairs.groups(kind, question, config.pairs.compact_ratio))
        survey.pair_pool[kind] += count
        survey.pairs[kind].add(question_hash(seed, kind, mcq), bytes(_capped(count, quota)))


class Decision:
    """What was decided: small, and the same for every part of a run, so that parts can be made apart.

    Attributes:
        counts: For the funnel.
    """

    counts: SelectionCounts

    def __init__(self, config: SelectConfig, seed: int, survey: Survey) -> None:
        self._config, self._seed = config, seed
        self._right = survey.right.cut(sft.right_quota(config.sft, len(survey.right)))
        right = survey.right.taken(self._right)
        self._turned = survey.turned.cut(sft.turned_quota(config.sft, right.total()))
        self._pairs: dict[PairKind, Cut] = {
            kind: survey.pairs[kind].cut(quota.max) for kind, quota in _quotas(config)
        }
        right_pool, turned = survey.right.labels, survey.turned.taken(self._turned).total()
        self.counts = SelectionCounts(
            questions=survey.questions,
            duplicates=dict(sorted(survey.duplicates.items())),
            sft_pool={
                "short_right": right_pool[0],
                "right_right": right_pool[1],
                "wrong_right": len(survey.turned),
            },
            sft={"short_right": right[0], "right_right": right[1], "wrong_right": turned},
            pair_pool={kind: survey.pair_pool[kind] for kind in pairs.KINDS},
            pairs={
                kind: survey.pairs[kind].taken(self._pairs[kind]).total() if kind in self._pairs else 0
                for kind in pairs.KINDS
            },
        )

    def records(self, trees: Iterable[CaptionTree]) -> Iterator[SFTExample | PreferencePair]:
        """The examples of these captions in their order, within a question the SFT examples first."""
        for image, question in _questions(trees):
            yield from self._sft_of(question, image)
            yield from self._pairs_of(question, image)

    def _sft_of(self, question: Question, image: ImageRef) -> Iterator[SFTExample]:
        node, mix, seed = question.node, self._config.sft, self._seed
        right = sft.right_pool(question, mix, seed)
        right = right[: self._right.count(question_hash(seed, "sft.right", node.mcq.id), len(right))]
        turned = sft.turned_pool(question, mix, seed)
        turned = turned[: self._turned.count(question_hash(seed, "sft.turned", node.mcq.id), len(turned))]
        for candidate in (*right, *turned):
            yield sft_example(candidate.kind, node, image, candidate.thought.trace)

    def _pairs_of(self, question: Question, image: ImageRef) -> Iterator[PreferencePair]:
        node, seed = question.node, self._seed
        for kind, quota in _quotas(self._config):
            found = pairs.groups(kind, question, self._config.pairs.compact_ratio)
            count = _capped(pairs.pair_count(found), quota)
            taken = self._pairs[kind].count(question_hash(seed, kind, node.mcq.id), count)
            for chosen, rejected in pairs.deal(kind, found, seed, taken):
                yield preference_pair(kind, node, image, chosen, rejected)


class Selection:
    """What was decided over all captions, and the examples themselves, made as they are asked for.

    Each iterator goes through the captions once more.
    """

    def __init__(self, trees: Trees, decision: Decision) -> None:
        self._trees, self._decision = trees, decision
        self.counts = decision.counts

    def records(self) -> Iterator[SFTExample | PreferencePair]:
        """All examples of both sets, in one pass."""
        return self._decision.records(self._trees())

    def sft(self) -> Iterator[SFTExample]:
        """The SFT examples."""
        return (record for record in self.records() if isinstance(record, SFTExample))

    def pairs(self) -> Iterator[PreferencePair]:
        """The preference pairs."""
        return (record for record in self.records() if isinstance(record, PreferencePair))


def _quotas(config: SelectConfig) -> Iterator[tuple[PairKind, PairQuota]]:
    """The kinds of pairs that are wanted."""
    for kind in pairs.KINDS:
        quota: PairQuota = getattr(config.pairs, kind)
        if quota.enabled:
            yield kind, quota


def _capped(count: int, quota: PairQuota) -> int:
    return count if quota.per_question is None else min(count, quota.per_question)


def _questions(trees: Iterable[CaptionTree]) -> Iterator[tuple[ImageRef, Question]]:
    """Every question once, with the image that it is about."""
    seen: set[str] = set()
    for tree in trees:
        if tree.caption.id in seen:
            continue
        seen.add(tree.caption.id)
        mcqs: set[str] = set()
        for node in tree.mcqs:
            if node.mcq.id not in mcqs:
                mcqs.add(node.mcq.id)
                yield tree.caption.image, read_question(node)
