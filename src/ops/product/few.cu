#include "few.cuh"
// warps: `WARPS` of few.ts
#define FEW(R, WARPS) \
  extern "C" __global__ void __launch_bounds__(32 * WARPS) product_few_##R(const __grid_constant__ Few p) { productOfFew<R>(p); }
#if __CUDA_ARCH__ >= 800
FEW(1, 16)
FEW(2, 16)
FEW(4, 8)
#endif
