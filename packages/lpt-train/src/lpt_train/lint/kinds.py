"""The kinds of problems that lint knows, and which of them a training can live with."""

from __future__ import annotations

ERRORS: dict[str, str] = {
    # rows that are none
    "no_rows": "the file holds nothing",
    "not_json": "the line is not JSON",
    "duplicate_key": "a key stands twice in an object, of which readers keep the last",
    "unknown_column": "a column, at any depth, that the record does not have",
    "missing_column": "a column that the record has is not there",
    "bad_value": "a value of another type, or out of range",
    "wrong_record": "a record of another kind: a preference pair among SFT examples, say",
    # prompts
    "prompt_open": "the prompt does not end with the user's turn",
    "prompt_empty": "the user asks nothing",
    "options_differ": "the prompt shows other options, or in another order, than what verifies its answers",
    "prompt_images": "the prompt does not show exactly one image",
    "image_differs": "the prompt shows another image than the row says",
    # texts
    "image_placeholder": "a text spells out a mark that stands for an image",
    "special_token": "a text spells out a token of chat templates",
    "response_empty": "the response has no text",
    "thought_empty": "the thought has no text",
    "answer_empty": "the answer has no text",
    "segment_order": "the segments are not format, thought, cues and continuations, format, answer, format",
    "kind_differs": "the row's kind says that the thought was continued and its segments not, or vice versa",
    "tag_missing": "one of the four tags is not there",
    "tag_doubled": "a tag stands twice",
    "tag_order": "the tags stand in another order",
    "tag_inside": "a tag stands inside the thought, the continuation or the answer",
    "text_outside_tags": "there is text in neither thought nor answer",
    "answer_not_shown": "the answer names none of the options that the prompt shows, or several",
    # loss
    "no_label": "nothing of the response bears loss",
    "loss_on_wrong_thought": "a first thought that is wrong bears loss",
    "loss_on_rejected": "a part of a rejected response bears loss",
    "prefix_no_prefix": "what bears no loss, or what a pair shares, is no prefix",
    # images
    "image_missing": "the image's file is not there",
    "image_unreadable": "the image's file cannot be read, or is no image",
    "image_changed": "the image's file is not the one that the record was made with",
    "image_size": "the image has another size than the record says",
    "image_too_thin": "the image is more than 200 times as long as wide",
    "image_in_evaluation": "the image is one that is evaluated on",
    # pairs
    "chosen_is_rejected": "chosen and rejected are the same text",
    "thought_not_shared": "chosen and rejected do not begin with the thought that their kind says they share",
    "rejected_is_right": "the rejected response gives the answer of the chosen one",
    "answers_differ": "both answers are right by the pair's kind, and differ",
    "compact_not_shorter": "the compact response is not shorter than the long one",
    # rows together
    "duplicate_id": "two rows have one id",
    "duplicate_row": "two rows have the same image, prompt and responses",
    # tokens
    "too_long": "the row has more tokens than are allowed",
    "not_encodable": "the row cannot be made into tokens",
}
"""What must be mended before training."""

WARNINGS: dict[str, str] = {
    "options_unreadable": "no options can be read in the prompt, so the answer is not checked",
    "control_character": "a text holds a character that nobody sees",
    "segment_empty": "a segment has no text",
    "repetition": "a sentence stands four times or more in one thought",
    "thought_contradicts": "the thought concludes on another option than the answer",
    "loss_withheld": "the beginning of a response that is right bears no loss",
    "chosen_repeated": "a response is chosen in two pairs of a kind",
    "length_bias": "in more than 85 % of the pairs the chosen response is the longer one, or the shorter one",
    "answer_bias": "more than 60 % of the right answers are the same option",
}
"""What should be looked at."""
