"""Checks: what a model is asked before it serves anybody, and whether its answers are good enough.

`asking` asks all questions of a run side by side, `judging` says what an answer is worth (`text_faults`, `languages` and
`patterns` by its text, `past` by the model's own speed), `running` does a whole run and keeps what came of it, and
`bounds` says what a check may hold.
"""
