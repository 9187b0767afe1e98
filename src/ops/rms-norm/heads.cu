#include "unit.cuh"

KERNELS(f32x4, float, 4, 16, 1)
KERNELS(f32x4, float, 4, 32, 1)
KERNELS(f32x4, float, 4, 32, 4)
KERNELS(bf16x8, bf16, 8, 16, 1)
KERNELS(bf16x8, bf16, 8, 32, 1)
KERNELS(bf16x8, bf16, 8, 32, 2)
