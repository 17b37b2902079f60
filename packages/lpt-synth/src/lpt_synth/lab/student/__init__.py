"""The lab's student: a small vision-language model that looks, how it is built, taught and measured."""
