"""What the simulated expander says: banks of phrases, from which ``thoughts`` draws.

None of them betrays that its speaker has read about the picture rather than seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Manner = Literal["walk", "scan", "row", "look", "count", "choices"]

ENTRIES: Mapping[Manner, tuple[str, ...]] = {
    "walk": (
        "let me go from place to place.",
        "I go through the places one by one.",
        "let me see what stands at each place.",
    ),
    "scan": (
        "let me go through the picture row by row.",
        "I go through the rows one by one.",
        "let me look at every place in turn.",
        "I should look at the whole picture, row by row.",
        "let me see what stands where.",
        "I had better look at the whole picture.",
    ),
    "row": (
        "let me look at the rows that matter.",
        "I look along the row again.",
        "let me see what else is there.",
        "I should see what stands around it.",
    ),
    "look": (
        "let me look again.",
        "let me look once more, and closely.",
        "I should check that with care.",
        "I want to be sure, so I look again.",
        "was that right? Let me look again.",
        "not so fast, I have to look closely.",
    ),
    "count": (
        "let me count again.",
        "I should count them one by one.",
        "let me count with care, one after the other.",
    ),
    "choices": (
        "let me go through the choices.",
        "let me see which of the choices fits.",
        "let me hold each choice against what I see.",
    ),
}
"""How a continuation begins, after a cue such as "Wait," or "Hmm,"."""

OTHERWISE: Mapping[Manner, tuple[str, ...]] = {
    "walk": ("I could go from place to place.", "let me begin at the top left."),
    "scan": ("I could go through the picture row by row.", "let me begin with the whole picture."),
    "row": ("I could look along the row.", "I can see what stands around it."),
    "look": ("it may be something else, so I look again.", "I could look at it afresh."),
    "count": ("I could count them one by one.", "I can count them anew."),
    "choices": ("I could go through the choices.", "I can begin with the choices."),
}
"""The same after "Alternatively,"."""

DETAILS: Mapping[str, tuple[str, ...]] = {
    "colour_at": (
        "At the {place} I see the {shape}, and it is {colour}.",
        "What stands at the {place} is a {shape}, its colour is {colour}.",
        "The {place} holds the {full}.",
    ),
    "shape_at": (
        "At the {place} I see something {colour}, and by its outline it is a {shape}.",
        "What stands at the {place} has the outline of a {shape}.",
        "The {place} holds the {full}.",
    ),
    "colour_of": (
        "There is just one {shape}, at the {place}, and it is {colour}.",
        "The only {shape} stands at the {place}, its colour is {colour}.",
    ),
    "pattern_of": (
        "The {name} stands at the {place}, and {marks}.",
        "I look closely at the {name} at the {place}: {marks}.",
    ),
    "place_of": (
        "I find the {name} at the {place}.",
        "There is just one {name}, and it stands at the {place}.",
    ),
    "beside": (
        "The {name} is at the {place}. Directly {side} it is the {other_place}, with the {other}.",
        "From the {name} at the {place} I go one step, and {side} it I find the {other}.",
    ),
    "direction": (
        "The {name} is at the {place}, the {other} at the {other_place}, in the same {line}.",
        "I start from the {name} at the {place} and go along the {line} to the {other} at the {other_place}.",
    ),
    "covers": (
        "The {name} at the {place} lies in front, and behind it I see the edge of the {other}.",
        "At the {place} the {name} lies over a part of the {other} at the {other_place}.",
    ),
    "count_shape": ("I find {wanted} at {places}.", "At {places} there {are} {wanted}."),
    "count_colour": ("I find {wanted} at {places}.", "At {places} there {are} {wanted}."),
    "count_all": ("I see {by_row}.", "Row by row I count {per_row}."),
    "by_size": (
        "Of these, the {name} at the {place} is {size}, the others are not.",
        "The {name} at the {place} is the {size} one, {others}.",
    ),
    "most_common": ("I count {tally}.", "There are {tally}."),
}
"""What is found, by the kind of the question; the fields are filled in by ``thoughts``."""

MARKS: Mapping[str, tuple[str, ...]] = {
    "plain": ("there are no marks on it", "it is of one colour all over"),
    "striped": ("there are lines across it", "it has dark stripes"),
    "dotted": ("there are small dots on it", "it has dark dots"),
    "ringed": ("there is a dark ring in it", "it has a ring inside"),
}

RIGHT = (
    "So the first look was right: {it}.",
    "Yes, that fits, {it}.",
    "It is as I thought: {it}.",
    "That agrees with what I saw before, so {it}.",
    "I see the same again. So {it}.",
)
"""The first thought is confirmed."""

WRONG = (
    "No, that is not what I saw at first. So {it}.",
    "So I was wrong before: {it}.",
    "That is not what I said. I take it back: {it}.",
    "At first I said that {first}, but no, {it}.",
    "I was too quick. In fact {it}.",
)
"""The first thought is given up."""

NEUTRAL = ("So {it}.", "Now I am sure that {it}.", "From this I see that {it}.", "That settles it: {it}.")
"""The first thought named none of the choices."""

DOUBTS = (
    "It is hard to see, and the edges are not clear. It might as well be {wrong}. I settle for {wrong}.",
    "The longer I look, the less sure I am. On second thought it looks more like {wrong}. I say {wrong}.",
    "Something about it does not fit. It could be {wrong} after all, so I choose {wrong} this time.",
)
"""A thought that loses its way without having seen anything else."""

CHECKS = (
    "I look a last time, and nothing has changed.",
    "I look there once more, and I still see the same.",
    "Nothing else in the picture speaks against it.",
    "The edges are clear enough to be sure.",
    "What stands around it does not change that.",
)
"""Said where a thought would otherwise be very short."""
