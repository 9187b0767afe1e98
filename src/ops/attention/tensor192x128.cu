#include "tensor-kernels.cuh"
TENSOR_KERNELS(192x128, 192, 128, false)
