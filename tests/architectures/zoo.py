"""A zoo of tiny models of different wiring: all specimens, by name."""

import zoo_attention
import zoo_convolutional
import zoo_dense
import zoo_equal
import zoo_gated
import zoo_normalised
import zoo_odd
import zoo_products
import zoo_recurrent
import zoo_transformers
import zoo_variants
import zoo_wired

ROOMS = (
    *(zoo_dense, zoo_products, zoo_gated, zoo_convolutional, zoo_normalised),
    *(zoo_attention, zoo_transformers, zoo_recurrent, zoo_variants, zoo_equal, zoo_wired, zoo_odd),
)
SPECIMENS = {specimen.name: specimen for room in ROOMS for specimen in room.house.specimens}
assert len(SPECIMENS) == sum(len(room.house.specimens) for room in ROOMS), "two specimens share a name"
