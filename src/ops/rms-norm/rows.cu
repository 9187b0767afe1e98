#include "unit.cuh"

KERNELS(f32x4, float, 4, 256, 2)
KERNELS(f32x4, float, 4, 256, 4)
KERNELS(bf16x8, bf16, 8, 256, 2)
KERNELS(bf16x8, bf16, 8, 256, 4)
