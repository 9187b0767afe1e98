// dW (N, K) += alpha · dYᵀ · x (op.ts)
#include "attrs/weight-grad.hpp"
#include "gemm.hpp"

namespace saqr {

SAQR_KERNEL(weight_grad) {
  const Tensor &dW = step.tensors[0], *in = step.tensors + step.outputs;  // in: dY (T, N), x (T, K)
  const gemm::Epilogue epilogue{&dW, nullptr, &dW, static_cast<float>(attrs::weight_grad(step).alpha)};
  const gemm::Problem problem{{in, 1, true}, {in + 1, 1, true}, 1, dW.rows, dW.cols, epilogue};
  if (const char* why = problem.refusal()) return worker.fail(why);
  gemm::multiply(problem, worker);
}

}  // namespace saqr
