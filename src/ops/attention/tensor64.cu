#include "tensor-kernels.cuh"
TENSOR_KERNELS(64, 64, 64, false)
