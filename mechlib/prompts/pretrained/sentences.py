"""Sentences about indirect objects for pretrained models: 64 that were written for it, each with an opening of its own.

{A} and {B} are the two names as first mentioned, {S} the giver; the indirect object follows the last word. None begins
with a name, which would be another token there. 16 are for discovery, 48 for confirmation, for the width of an interval
across sentences is that of their number; which is which the order of their digests decided, before any was run.
"""

from __future__ import annotations

from typing import Final

from mechlib.prompts.world import Lexicon

TEMPLATES: Final[dict[Lexicon, tuple[str, ...]]] = {
    "discovery": (
        "At the end of the school year, {A} and {B} traded a few things. {S} offered a {object} to",
        "When the lights went out, {A} and {B} were alone in the basement. {S} found a {object} and gave it to",
        "On the way home from the lake, {A} and {B} stopped for gas. {S} passed the {object} to",
        "From the top of the hill {A} and {B} watched the fireworks. When it got cold, {S} handed the {object} to",
        "Having missed the ferry, {A} and {B} sat on the dock, and {S} showed the {object} to",
        "Right after the game {A} ran into {B} in the parking lot, and {S} threw a {object} to",
        "Last winter {A} and {B} shared an apartment downtown. On moving day {S} gave a {object} to",
        "For the class play, {A} and {B} needed a few props, so {S} lent a {object} to",
        "All summer {A} and {B} painted the fence of the hospital. As thanks, {S} presented a {object} to",
        "Down at the harbor {A} helped {B} with the nets. At sunset {S} gave the {object} to",
        "After the flood {A} and {B} rebuilt the farm together. When the work was done, {S} gave a {object} to",
        "Because the elevator was broken, {A} and {B} took the stairs. On the third floor {S} passed the {object} to",
        "Both {A} and {B} collected strange things, which is why {S} once sold a {object} to",
        "According to the letter, {A} and {B} inherited the house together, but {S} later sold the {object} to",
        "Our teachers {A} and {B} organized the trip together; {S} brought the {object} to",
        "There was only one {object} left when {A} and {B} reached the counter. {S} bought it and gave it to",
    ),
    "confirmation": (
        "It was almost midnight when {A} and {B} closed the shop, and {S} quickly gave the {object} to",
        "Every Friday {A} and {B} play chess at the library. This week {S} lost and had to give a {object} to",
        "Two tourists, {A} and {B}, got lost in the old town. To pass the time, {S} showed a {object} to",
        "To celebrate the victory, {A} and {B} met at the stadium, where {S} awarded a {object} to",
        "With the exam only two days away, {A} and {B} studied in the dormitory, and {S} loaned the {object} to",
        "In the crowded kitchen {A} was cooking with {B}. Without looking up, {S} passed the {object} to",
        "While {A} and {B} were waiting for the bus, it began to snow. {S} offered the {object} to",
        "The photographer asked {A} and {B} to stand closer together, and then {S} gave the {object} to",
        "Long before the company existed, {A} and {B} built radios in a garage, and {S} sold a {object} to",
        "A week after the wedding, {A} and {B} met for coffee, and {S} presented a {object} to",
        "As soon as {A} and {B} had found a table near the window, {S} slid the {object} across to",
        "By the time the storm was over, {A} and {B} had lost almost everything. Still, {S} gave a {object} to",
        "Halfway through the concert {A} and {B} got hungry and left. At the door {S} returned the {object} to",
        "The nurse let {A} and {B} stay a little longer, so {S} gave the {object} to",
        "What surprised me about {A} and {B} was how kind they were: {S} simply gave a {object} to",
        "The committee chose {A} and {B} to run the office. On the first day {S} passed the {object} to",
        "If you ask {A} and {B} about their first day at the factory, they laugh, because {S} had given a {object} to",
        "The last time {A} and {B} went camping in the mountains, {S} lent the {object} to",
        "Outside the courthouse, reporters watched {A} and {B} shake hands before {S} handed a {object} to",
        "The police interviewed {A} and {B} about the robbery. Later that day {S} returned the {object} to",
        "The neighbors {A} and {B} cleaned out the old shed on Sunday, and {S} gave the {object} to",
        "Across the street from the bank, {A} and {B} had a quiet conversation, and {S} delivered the {object} to",
        "Somewhere between the museum and the river {A} and {B} took a wrong turn, and {S} passed the {object} back to",
        "Two hours before the flight, {A} and {B} were still packing. In a hurry, {S} threw the {object} to",
        "Near the entrance of the park {A} met {B} by chance. Smiling, {S} offered a {object} to",
        "Unlike most people in the village, {A} and {B} loved the rain. One wet day {S} carried the {object} to",
        "Even though {A} had never met {B} before the interview, {S} lent the {object} to",
        "People say that {A} and {B} never forgot the war. Every Christmas {S} mailed a {object} to",
        "Instead of going to the movies, {A} and {B} stayed home and sorted boxes. {S} gave the {object} to",
        "Later in the evening {A} and {B} cleaned the classroom. {S} found the missing {object} and brought it to",
        "At breakfast {A} sat across from {B}. Still half asleep, {S} pushed the {object} over to",
        "Thanks to the new bridge, {A} and {B} could visit each other every day. Yesterday {S} carried a {object} to",
        "Not far from the airport {A} and {B} run a hotel. A guest had forgotten a {object}, and {S} brought it to",
        "My friends {A} and {B} keep a garden behind the church; in June {S} sent a {object} to",
        "Everyone at the party noticed that {A} and {B} kept whispering. Around ten {S} slipped a {object} to",
        "During the long train ride {A} and {B} shared a compartment. After a while {S} showed the {object} to",
        "In the spring of that year {A} and {B} opened a bakery. For good luck {S} gave a {object} to",
        "Years ago {A} and {B} worked on the same fishing boat. When it was sold, {S} promised the {object} to",
        "Although {A} and {B} had argued all morning, {S} still sent a {object} to",
        "This morning {A} called {B} about the broken fence. In the afternoon {S} took the {object} over to",
        "Before the meeting started, {A} and {B} sat down in the front row, and {S} handed the {object} to",
        "The judge told {A} and {B} to settle the matter, so {S} returned the {object} to",
        "On the first day of the trip, {A} and {B} shared a tent. The next morning {S} handed the {object} back to",
        "Once the guests were gone, {A} and {B} washed the dishes in silence. Finally {S} gave the {object} to",
        "Just before the curtain went up, {A} and {B} were nervous. Backstage {S} quietly handed a {object} to",
        "Nobody knew that {A} and {B} were cousins until {S} mailed a {object} to",
        "The auction was nearly over when {A} and {B} walked in. An hour later {S} had already sold the {object} to",
        "Under the old oak tree {A} and {B} opened their lunch. Then {S} tossed the {object} over to",
    ),
}
# In front; {X} repeats the giver or the one who is given.
EXTRAS: Final = (
    "Everyone in town likes {X}.",
    "It had been a good week for {X}.",
    "People often talked about {X}.",
    "As usual, {X} was early.",
)
