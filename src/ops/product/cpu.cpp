// y = alpha · Σ_p x_p · w_pᵀ + bias + addend (op.ts)
#include "attrs/product.hpp"
#include "gemm.hpp"

namespace saqr {

SAQR_KERNEL(product) {
  const Tensor &y = step.tensors[0], *in = step.tensors + step.outputs;
  const attrs::product attrs(step);
  const bool trans = attrs.trans;
  auto present = [](const Tensor& t) { return t.data ? &t : nullptr; };
  const gemm::Epilogue epilogue{&y, present(in[1]), present(in[0]), static_cast<float>(attrs.alpha)};
  const gemm::Problem problem{{in + 2, 2, false}, {in + 3, 2, trans}, (step.inputs - 2) / 2, y.rows, y.cols, epilogue};
  if (const char* why = problem.refusal()) return worker.fail(why);
  gemm::multiply(problem, worker);
}

}  // namespace saqr
