"""Biographies for pretrained models: sentences and cues that were written for it, in ordinary English.

A profession is three phrases: where one works, what one uses, what one does; the word for it is nowhere said. No text
begins with the name, which would be another token there. {pronoun}, {Pronoun} and {possessive} follow the gender of the
name. Eight sentences are for discovery, 24 for confirmation and reference.
"""

from __future__ import annotations

from typing import Final

from mechlib.prompts.world import Lexicon

CUES: Final[dict[Lexicon, dict[str, tuple[str, str, str]]]] = {  # workplace, tool, verb
    "discovery": {
        "doctor": ("in a hospital", "a stethoscope", "examine patients"),
        "farmer": ("in a barn", "a tractor", "harvest wheat"),
        "cook": ("in a restaurant kitchen", "a frying pan", "prepare meals"),
        "teacher": ("in a classroom", "a piece of chalk", "explain fractions"),
        "carpenter": ("at a sawmill", "a hammer", "build cabinets"),
        "painter": ("in a studio", "a set of brushes", "mix colors"),
    },
    "confirmation": {
        "pilot": ("at an airport", "a headset", "land planes"),
        "scientist": ("in a laboratory", "a microscope", "run experiments"),
        "baker": ("in a pastry shop", "a rolling pin", "knead dough"),
        "judge": ("in a courtroom", "a gavel", "hear cases"),
        "miner": ("in a tunnel underground", "a pickaxe", "dig for coal"),
        "tailor": ("in a clothing store", "a needle and thread", "hem trousers"),
    },
}
SENTENCES: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": (
        "Meet {name}. {Pronoun} works {workplace}, never goes anywhere without {tool}, and loves to {verb}.",
        "Not many people can {verb} as well as {name}. {Pronoun} uses {tool} and spends the day {workplace}.",
        "On most mornings {name} is {workplace} by six, because {pronoun} has to {verb} with {tool}.",
        "With {tool} in {possessive} hands, {name} is happy. {Pronoun} works {workplace} and likes to {verb}.",
        "The first thing that {name} learned was how to {verb}. Now {pronoun} owns {tool} and has a job {workplace}.",
        "My cousin {name} bought {tool} last year. {Pronoun} needed it to {verb} {workplace}.",
        "Somebody has to {verb}, and in our town it is {name}. {Pronoun} works {workplace} and relies on {tool}.",
        "If you look for {name}, try {workplace}. {Pronoun} will be there with {tool}, ready to {verb}.",
    ),
    "confirmation": (
        "This is {name}. {Pronoun} works {workplace}, uses {tool} every day, and knows how to {verb}.",
        "For ten years {name} has worked {workplace}. {Pronoun} keeps {tool} close and is often asked to {verb}.",
        "Yesterday {name} forgot {tool} at home, so {pronoun} could not {verb} {workplace}.",
        "Our neighbor {name} gets up early. {Pronoun} has to {verb} {workplace}, and {pronoun} brings {tool}.",
        "People who want to {verb} should ask {name}. {Pronoun} learned it {workplace} with {tool}.",
        "When {name} was young, {pronoun} dreamed of having {tool}. Now {pronoun} can {verb} all day {workplace}.",
        "There is {tool} on the desk of {name}. {Pronoun} is employed {workplace} and is paid to {verb}.",
        "In the evening {name} talks about {possessive} day {workplace}, where {pronoun} had to {verb} with {tool}.",
        "Ask {name} about {tool} and {pronoun} will not stop talking. {Pronoun} loves to {verb} {workplace}.",
        "After school {name} found a job {workplace}. At first {pronoun} could not {verb}, even with {tool}.",
        "Every summer {name} teaches beginners to {verb}. {Pronoun} meets them {workplace} and lends them {tool}.",
        "The letter was for {name}, who is {workplace} all week. {Pronoun} ordered {tool} in order to {verb}.",
        "Last month {name} moved here. {Pronoun} packed {tool} first, since {pronoun} will {verb} {workplace}.",
        "Nobody expected {name} to stay {workplace}, but {pronoun} likes to {verb} and is proud of {possessive} skill "
        "with {tool}.",
        "At the party {name} described how {pronoun} used {tool} to {verb} {workplace}.",
        "Some days {name} feels tired. {Pronoun} has to {verb} for hours {workplace}, holding {tool}.",
        "The photograph shows {name} {workplace}. In {possessive} hand {pronoun} has {tool}, and {pronoun} is about to "
        "{verb}.",
        "Although {name} is new {workplace}, {pronoun} can already {verb} and has been given {tool}.",
        "To {verb} is hard work, says {name}. {Pronoun} does it {workplace} and depends on {tool}.",
        "Friends gave {name} {tool} for {possessive} birthday, because {pronoun} likes to {verb} {workplace}.",
        "What {name} enjoys most is being {workplace}. {Pronoun} takes {tool} and begins to {verb}.",
        "Since the age of twenty {name} has owned {tool}. {Pronoun} earns a living {workplace}, where {pronoun} must "
        "{verb}.",
        "You can hear {name} before you see {possessive} face: {pronoun} sings {workplace} while using {tool} to "
        "{verb}.",
        "The newspaper wrote about {name}. It said that {pronoun} works {workplace}, can {verb} quickly, and carries "
        "{tool}.",
    ),
}
