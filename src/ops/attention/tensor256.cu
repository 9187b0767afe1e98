#include "tensor-kernels.cuh"
TENSOR_KERNELS(256, 256, 256, false)
