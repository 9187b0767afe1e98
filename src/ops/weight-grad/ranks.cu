#include "../cuda.cuh"
#include "../mma.cuh"
#include "../rank-grad.cuh"

// dW (R, C) of A, whose input is wide; dW (C, R) of B, whose output's gradient is
#define KERNEL(R, NAME, BY_RANK) \
  extern "C" __global__ void __launch_bounds__(RankGrad<R>::kThreads) NAME##_##R(RankGradArgs args) { rankGrad<R, BY_RANK>(args, Whole()); }
#define KERNELS(R) KERNEL(R, weight_grad_by_rank, true) KERNEL(R, weight_grad_by_channel, false)
KERNELS(16)
KERNELS(32)
KERNELS(48)
KERNELS(64)
