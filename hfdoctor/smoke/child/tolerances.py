"""How far a result may be off on a device: one table, and how its numbers came about.

A number of a type with p bits of precision is off by up to u = 2**-p when it is rounded: float32 2**-24, float16
2**-11, bfloat16 2**-8. "tf32" is float32 whose factors are rounded to 11 bits before they are multiplied: NVIDIA's
convolutions do so unless told otherwise, its products of matrices only when told to.

SUM: of a sum of products (a product of matrices, a convolution), as a share of the sum of the absolute products. Theory
allows n * u for n products in float32 (n is at most 512 here: 3e-5), twice u for tf32; one rounding of the result and
partial sums in the same type for the small types. A transformed convolution (Winograd) may lose a factor 10. Seen on
CPUs: float32 1.4e-7, bfloat16 1.3e-3, float16 1.5e-4.

LOGITS: of the logits of the tiny models, absolute, against those recorded in float32. Seen on CPUs with torch 2.1 to
2.15 and several ways to compute attention, in the order of the heads below: bfloat16 0.099, 0.037, 0.36; float16 0.012,
0.0076, 0.097; at least four times that is allowed, since the order of summation differs between devices. The logits
themselves go up to 15. float32: golden.json.

STEP: of loss and gradients in training steps in float32, as a share of the largest value there is, against float64 on
the CPU. Seen on CPUs: 3e-6; for tf32 some layers' worth of its SUM.
"""

from __future__ import annotations

#: number type -> share of the sum of the absolute products
SUM = {"float32": 3e-5, "tf32": 3e-3, "float16": 3e-3, "bfloat16": 2e-2}
#: head -> number type -> absolute
LOGITS = {
    "masked_lm": {"tf32": 0.05, "float16": 0.05, "bfloat16": 0.4},
    "classifier": {"tf32": 0.05, "float16": 0.05, "bfloat16": 0.4},
    "causal_lm": {"tf32": 0.4, "float16": 0.4, "bfloat16": 1.5},
}
#: number type -> share of the largest value
STEP = {"float32": 1e-4, "tf32": 2e-2}
