// Attention problems for tests and benchmarks: masks as passes have them, random tensors, the f64 definition.
#pragma once
#include <cmath>
#include <cstring>
#include <string>
#include <vector>
#include "test.hpp"

namespace saqr::test {

struct MaskOf {
  std::vector<int32_t> from, until, depth;
  int tokens() const { return static_cast<int>(depth.size()); }

  // a row that begins at depth `first`; the caller may widen `until`
  MaskOf& row(int length, int first = 0) {
    const int begin = tokens();
    for (int i = 0; i < length; i++) {
      from.push_back(begin + i);
      until.push_back(begin + length);
      depth.push_back(first + i);
    }
    return *this;
  }
  MaskOf& pads(int count) {
    for (int i = 0; i < count; i++) row(1);
    return *this;
  }
  // a beginning shared by branches, depth-first
  MaskOf& shared(int beginning, std::vector<int> branches) {
    const int begin = tokens();
    row(beginning);
    for (int length : branches) row(length, beginning);
    for (int j = begin; j < begin + beginning; j++) until[j] = tokens();
    return *this;
  }
  MaskOf& bidirectional(int a, int b) {
    for (int j = a; j < b; j++) from[j] = std::min(from[j], a);
    return *this;
  }
  MaskOf& unseen(int j) {
    until[j] = from[j];
    return *this;
  }
};

struct Problem {
  std::string name;
  int heads, kvHeads, headDim;
  MaskOf mask;
  int window = 0;
  int start = -1;    // of the queries over a cache; -1: queries are all tokens
  int queries = 0;   // over a cache
  bool fused = false;  // q, k, v lie in one wide matrix
  float spread = 1;  // of q: large values make the softmax sharp

  int keys() const { return mask.tokens(); }
  int rows() const { return start < 0 ? keys() : queries; }
  bool sees(int i, int j) const {
    const int at = i + (start < 0 ? 0 : start);
    return mask.from[j] <= at && at < mask.until[j] && (!window || mask.depth[at] - mask.depth[j] < window);
  }
  double pairs() const {
    double n = 0;
    for (int i = 0; i < rows(); i++) {
      for (int j = 0; j < keys(); j++) n += sees(i, j);
    }
    return n * heads;
  }
};

// rows × cols inside rows × stride, f32 or bf16; what lies beyond cols is a pattern that must survive
struct Data {
  int rows, cols, stride;
  DType type;
  std::vector<char> bytes;
  Data(int r, int c, DType t, int gap = 0) : rows(r), cols(c), stride(c + gap), type(t), bytes(size_t(r) * (c + gap) * size(), 0x5a) {}
  size_t size() const { return type == DType::bf16 ? 2 : 4; }
  double get(int i, int c) const {
    const char* p = bytes.data() + (size_t(i) * stride + c) * size();
    if (type == DType::bf16) {
      bf16 h;
      memcpy(&h, p, 2);
      return toFloat(h);
    }
    float f;
    memcpy(&f, p, 4);
    return f;
  }
  void set(int i, int c, double v) {
    char* p = bytes.data() + (size_t(i) * stride + c) * size();
    const float f = static_cast<float>(v);
    const bf16 h = toBf16(f);
    if (type == DType::bf16) memcpy(p, &h, 2);
    else memcpy(p, &f, 4);
  }
  void random(Random& r, double scale) {
    for (int i = 0; i < rows; i++) {
      for (int c = 0; c < cols; c++) set(i, c, r.normal() * scale);
    }
  }
  bool gapsIntact() const {
    for (int i = 0; i < rows; i++) {
      for (size_t b = (size_t(i) * stride + cols) * size(); b < size_t(i + 1) * stride * size(); b++) {
        if (bytes[b] != 0x5a) return false;
      }
    }
    return true;
  }
  Tensor tensor() { return {bytes.data(), rows, cols, stride, type, 0, nullptr}; }
  // columns [from, from + count)
  Tensor view(int from, int count) { return {bytes.data() + from * size(), rows, count, stride, type, 0, nullptr}; }
};

using Exact = std::vector<double>;  // dense, f64

// o, lse, dq, dk, dv by the definition from the (rounded) inputs
struct Definition {
  Exact o, lse, dq, dk, dv;
};
Definition define(const Problem& p, const Data& q, const Data& k, const Data& v, const Data* dO, const Data* oRounded);

}  // namespace saqr::test
