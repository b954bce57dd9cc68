"""ACTINN in its JAX version, with its defaults."""

import actinn_jax
from prepare import shared

REQUIREMENTS = ["actinn-jax==0.3.1"]


def transfer(reference, query, task):
    reference, query = shared(reference, query, task)
    model = actinn_jax.train_reference(reference, "label", print_cost=False)
    frame, _ = model.predict_frame(query)
    return frame["celltype"], frame["celltype_probability"]
