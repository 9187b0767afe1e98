// The tensor-core kernels for heads of up to 64 channels, for sm_80 and later.
#include "tensor-backward.cuh"
#include "tensor-forward.cuh"

extern "C" __global__ void __launch_bounds__(128) attention_tensor_64(Problem p) { tensorForward<64>(p); }
extern "C" __global__ void __launch_bounds__(128) attention_query_grad_tensor_64(Problem p) { tensorQueryGrad<64>(p); }
extern "C" __global__ void __launch_bounds__(128) attention_key_grad_tensor_64(Problem p) { tensorKeyGrad<64>(p); }
