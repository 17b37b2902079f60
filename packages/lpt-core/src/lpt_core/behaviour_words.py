"""The phrases by which ``lpt_core.behaviours`` tells behaviours apart: English, in small letters.

A rule is (words, pattern): a sentence that has none of the words is passed over without matching, which is
many times faster. Patterns see one sentence at a time.
"""

from __future__ import annotations

Table = tuple[tuple[tuple[str, ...], str], ...]

_WITHIN = r"[^.!?\n]"  # always with a bound, so that time is linear
_START = r"(?:^|(?<=[,;:] ))"
_WAIT = r"\b(?:wait|hmm|oh|ah|hold on)\b[ ,.…!—-]{1,4}(?:but )?(?:wait[ ,.…!—-]{1,4})?"
_SEE_AGAIN = r"(?:look|count|read|think|examin|inspect|visuali[sz]|compar|go over|check|picture)"
_HAVE_TO = r"(?:(?:i|we) (?:should|must|will|want to|need to|have to)|i'll|let me|let's|let us|just to)"
_SLIP = (
    r"(?:mis(?:read|count|interpret|t[oa]ok|judg|remember|underst|identif|label|s)|overlook|confus"
    r"|mix|forg[eo]t)"
)
_EARLIER = r"(?:first|initial|earlier|previous|original)"
_OPINION = r"(?:impression|thought|analysis|assumption|reading|guess|count|idea|figure|answer|conclusion)"

VERIFICATION: Table = (
    (("check",), r"\b(?:double|re|cross|sanity)[ -]?check"),
    (
        ("check", "verif", "confirm", "make sure", "ensure", "be sure", "be certain", "be careful"),
        rf"\b{_HAVE_TO} (?:also |just )?(?:check|verify|confirm|make sure|ensure|be (?:sure|certain"
        rf"|careful))\b",
    ),
    (("to be ", "to make ", "to ensure"), r"\bto (?:be (?:sure|certain|safe)|make sure|ensure)\b"),
    (
        ("again", "once more", "one more time", "a second time"),
        rf"\b{_SEE_AGAIN}(?:e|ing|e?s)?\b{_WITHIN}{{0,70}}?\b(?:again|once more|one more time"
        rf"|a second time)\b",
    ),
    (("again", "once more"), rf"\b(?:again|once more)\b[ ,]{{1,2}}{_SEE_AGAIN}"),
    (
        ("ree", "rec", "re-", "rea", "rev", "rei"),
        rf"\b(?:{_HAVE_TO} |(?:i )?(?:upon |on )?)re-?(?:examin|check|count|read|evaluat|assess|visit"
        rf"|inspect|consider|verif)"
        r"(?:e|y|ing)?\b(?= |,|:|\.|$)",
    ),
    (("looking back",), rf"{_START}(?:wait, |so |but )*looking back(?:,| at| to)"),
    (
        ("back",),
        r"\b(?:let me|i'm|i am|i) (?:go|going|look|looking|come|coming|think|refer)\w* back (?:to|at|over)\b",
    ),
    (("look",), r"\b(?:a|one|another) (?:second |closer |more |fresh )?look\b(?!-)(?= at| confirms| shows)"),
    (("look again",), r"\blook again\b"),
    (
        ("inspection", "examination", "look"),
        rf"\bcloser (?:inspection|examination|look)\b,?{_WITHIN}{{0,60}}?\b(?:actually|in fact|after all"
        rf"|seems)\b",
    ),
    (
        ("right?", "match", "fit", "hold", "make sense", "consistent", "agree"),
        r"\b(?:is (?:that|this|it) (?:right|correct|true|so)|does (?:that|this|it) (?:match|fit|hold"
        r"|make sense|agree)"
        rf"{_WITHIN}{{0,60}})\?",
    ),
    (
        ("fit", "match", "consistent", "agree", "confirm", "contradict", "hold"),
        r"\b(?:(?:that|this|it|everything|all(?: of this)?) (?:(?:also |still )?(?:fits|matches|agrees"
        r"|checks out"
        r"|confirms)|is consistent|holds up)|confirms (?:it|that|this)|nothing (?:contradicts"
        r"|speaks against))\b",
    ),
    (
        ("yes",),
        rf"{_START}yes, (?:that|this|it|the)\b{_WITHIN}{{0,60}}?\b(?:right|correct|consistent|indeed"
        rf"|matches)\b",
    ),
)
BACKTRACKING: Table = (
    (("wait", "hmm", "oh", "ah", "hold on"), rf"{_WAIT}(?:no|actually)\b"),
    (("hold on",), r"\bhold on\b[.,!—]"),
    (("no,",), rf"{_START}no, (?:that|this|it|the|wait|hold|there|maybe|actually)\b"),
    (("actually",), rf"{_START}(?:but )?actually, (?:i|it|that|no|there)\b"),
    (
        ("right", "work", "hold", "nowhere", "contradict", "wrong", "mistake"),
        (
            r"\b(?:that|this|it|which|approach|i said first|but this) (?:(?:cannot|can't"
            r"|can not) be (?:right|correct|true)"
            r"|(?:does not|doesn't) (?:work|hold|add up)|leads nowhere|contradicts|(?:is|was) (?:wrong"
            r"|a mistake|incorrect)"
            r"|isn't right|is not right)\b"
        ),
    ),
    (
        ("i'm", "i am", "i was", "i might", "i may", "i must"),
        (
            r"\bi(?:'m| am| was| might be| may be| must be| might have been| may have been| must have been)"
            r" (?:just |probably |perhaps )?(?:wrong|mistaken|miscounting|mixing|confus|misread"
            r"|misinterpret|overthinking"
            r"|overcomplicat|too (?:quick|fast|hasty))"
        ),
    ),
    (
        ("mis", "overlook", "confus", "mix", "forg"),
        (rf"\bi (?:just |had |have |must have |may have |might have |initially |previously )?{_SLIP}"),
    ),
    (
        ("mistake", "confus", "wrong", "off", "incorrect", "hasty", "suggested", "but"),
        (
            rf"\b(?:my|the|that|this) (?:{_EARLIER} )?{_OPINION}\b{_WITHIN}{{0,50}}?\b(?:mistake"
            rf"|confus\w+|wrong|off|incorrect"
            r"|mistaken|hasty)\b"
        ),
    ),
    (
        ("analysis", "thought", "impression", "guess"),
        (rf"\b(?:but|my) (?:the )?{_EARLIER} {_OPINION}s? (?:was|were|is|suggested|might|may|could)\b"),
    ),
    (("made a mistake", "made an error"), r"\bmade an? (?:mistake|error)\b"),
    (
        ("scratch", "strike", "back", "start", "correction"),
        (
            r"\b(?:(?:scratch|strike) that|take (?:that|it|this) back|(?:let me |i'll |i )start (?:over"
            r"|again|anew|afresh))\b"
            rf"|{_START}correction:"
        ),
    ),
    (
        ("try a", "another way", "another approach", "different"),
        (
            r"\b(?:let me |i'll |i will )?try (?:another|a different)\b|\b(?:another"
            r"|a different) (?:way of|approach)\b"
        ),
    ),
    (("second thought", "reflection"), r"\bon second thoughts?\b|\bon reflection,"),
    (
        ("what i", "one i", "i called", "i had it"),
        (
            r"\b(?:what|as) i (?:first |earlier |just )?(?:took for|said|thought|called|noted above)\b"
            r"|\bi called\b|\bi had it as\b"
        ),
    ),
    (
        ("i previously", "i initially", "i first", "i earlier", "i originally"),
        (
            r"\bi (?:previously|initially|first|earlier|originally) (?:said|thought|assumed|took"
            r"|believed|counted)\b"
        ),
    ),
    (("after all",), rf"\b(?:not|n't)\b{_WITHIN}{{1,50}}\bafter all\b"),
    (
        ("alternatively",),
        rf"{_START}alternatively, (?:perhaps|maybe|could|(?:it|this|that|the \w+) (?:might|may|could))\b",
    ),
    (("instead",), rf"{_START}instead,? (?:i|let|we)\b"),
    (("forget",), rf"{_START}(?:so |let's |let us )?forget (?:that|about|the)\b"),
)
SUBGOALS: Table = (
    (
        ("step",),
        r"\bstep[ -]by[ -]step\b|\bsteps? (?:\d|one|two)\b[:.]|\b(?:two|three|four"
        r"|several) steps\b(?= are| to)",
    ),
    (
        ("first", "second", "third", "next", "finally", "lastly"),
        rf"{_START}(?:first(?:ly)?|second(?:ly)?|third(?:ly)?|next|finally|lastly),? "
        r"(?:i (?:need|have|will|must|should|look|find|count|want)|i'll|let me|let's|we (?:need|have"
        r"|will|must|should)|to )",
    ),
    (
        ("first", "start", "begin", "next"),
        r"\b(?:i|i'll|i will|let's|let me|we) (?:first|start (?:with|by|at)|begin (?:with|by|at)|next)\b",
    ),
    (("first",), rf"\bfirst\b{_WITHIN}{{3,90}}?\b(?:and then|then i|then the|next|afterwards|and finally)\b"),
    (("first things first",), r"\bfirst things first\b"),
    (
        ("break", "split", "divide"),
        r"\b(?:break|split|divide)s? (?:this |it |the \w+ |\w+ )?(?:down|up|into)\b",
    ),
    (
        ("parts", "things", "sub-", "subq", "subg", "subt", "tasks"),
        r"\b(?:two|three|four|several|a few|\d) (?:things|parts|tasks|sub-?(?:questions|goals|tasks"
        r"|problems))\b"
        r"(?= here| to| before| i|:|,| are)",
    ),
    (("before",), r"\bbefore (?:i |we )?(?:can )?(?:answer|decid|choos|judg|compar|conclud)\w*\b"),
    (("plan",), r"\bmy plan\b|\bthe plan is\b"),
    (("for that",), r"\bfor (?:that|this), (?:i|let|we)\b"),
    (("remains", "is left"), r"\bwhat (?:remains|is left) is to\b"),
    (("now that",), rf"\bnow that\b{_WITHIN}{{3,60}}\b(?:found|known|clear|located|identified)\b"),
    (
        ("need to", "have to", "needs to", "has to"),
        r"\b(?:i|we) (?:need|have) to (?:find|locate|consider|identify the|figure out (?:where|how many)"
        r"|work out)\b",
    ),
    (
        ("at a time", "one by one", "in turn"),
        r"\bone (?:at a time|by one)\b|\b(?:options|rows|items|each) in turn\b",
    ),
)
BACKWARD_CHAINING: Table = (
    (("backward", "back from"), r"\bwork(?:ing)? back(?:wards?)?\b|\bbackwards? from\b"),
    (
        ("would", "should", "'d "),
        rf"\bif (?:the (?:answer|correct|right)|option|choice|\([a-j]\)){_WITHIN}{{1,80}}?\b(?:would"
        rf"|should|must)\b",
    ),
    (
        ("would", "'d "),
        rf"(?:\bif (?:it|this|that|these|those|they|there|the \w+)|{_START}(?:were|had)) "
        rf"(?:(?:were|was|had|the|it|they|there|this|that)\b){_WITHIN}{{1,80}}?(?:\bwould\b|'d\b)",
    ),
    (
        ("suppos", "assum"),
        rf"{_START}(?:suppos(?:e|ing)|assum(?:e"
        rf"|ing))\b{_WITHIN}{{3,90}}?[,;]?{_WITHIN}{{0,20}}\b(?:would|should|must)\b",
    ),
    (
        ("would",),
        r"\b(?<!i )(?<!that )(?<!which )would (?:have to|need to|require|show|indicate|imply|typically"
        r"|usually|normally|be (?:much|scattered)"
        r"|not (?:be|have|show|form))\b|\b(?:this|that|these|it) would mean\b",
    ),
    (("expect",), r"\b(?:i|we|one)(?: would|'d) expect\b"),
    (("to be ",), rf"\bfor {_WITHIN}{{1,40}}? to be (?:right|true|correct|the answer)\b"),
    (("end up with",), r"\bto end up with\b"),
    (("in that case",), rf"\bin that case\b{_WITHIN}{{0,60}}?\b(?:should|would|must)\b"),
)
