"""The matching engine: arrays in, arrays out, no I/O. A folder per step.

`standardize` and `kinds` make values comparable, `composites` names and addresses as wholes; `planning` turns an entity's rules into
features and comparisons; `blocking` finds the pairs, `comparing` gives them levels, `learning` what levels weigh, `clustering` the
entities, `golden` what becomes of Gold, `explaining` the words for it. `engine` and `matching` put the steps together in one process,
`spark` on many.
"""
