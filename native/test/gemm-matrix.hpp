// Matrices of every stored dtype with random contents, and their values in f64.
#pragma once
#include <cstring>
#include <vector>
#include "test.hpp"

namespace saqr::test {

// A tensor that owns its memory, with its values in f64. Between the rows of a view stand NaNs: whoever reads them shows it.
struct Matrix {
  Tensor tensor{};
  Quant quant{};
  int blocksize = 64;
  std::vector<float> codebook, absmax, code2, absmax2;
  std::vector<uint8_t> absmax8;
  std::vector<char> bytes;
  std::vector<double> values;
  double at(int64_t i, int64_t j) const { return values[i * tensor.cols + j]; }
};

inline int64_t sizeOf(DType d) { return d == DType::f32 ? 4 : 2; }

inline double read(const Tensor& t, int64_t i, int64_t j) {
  int64_t at = i * t.stride + j;
  if (t.dtype == DType::f32) return static_cast<const float*>(t.data)[at];
  uint16_t h = static_cast<const uint16_t*>(t.data)[at];
  return t.dtype == DType::bf16 ? toFloat(h) : halfToFloat(h);
}

inline uint16_t toHalf(float f) {  // normal numbers are enough here
  uint32_t bits;
  memcpy(&bits, &f, 4);
  int32_t exponent = static_cast<int32_t>(bits >> 23 & 255) - 112;
  return exponent <= 0 ? 0 : static_cast<uint16_t>((bits >> 16 & 0x8000) | static_cast<uint32_t>(exponent) << 10 | (bits >> 13 & 1023));
}

inline void makeNf4(Matrix& m, Random& random, bool nested) {
  Tensor& t = m.tensor;
  int64_t count = t.rows * t.cols;
  Quant& q = m.quant;
  q.blocksize = m.blocksize;
  q.blocksize2 = 4;
  q.offset = 0.7f;
  int64_t blocks = (count + q.blocksize - 1) / q.blocksize;
  for (int i = 0; i < 16; i++) m.codebook.push_back(static_cast<float>((i - 7.5) / 7.5 + 0.01 * random.uniform()));
  for (int i = 0; i < 256; i++) m.code2.push_back(static_cast<float>((i - 128) / 128.0));
  for (int64_t i = 0; i < blocks; i++) m.absmax.push_back(static_cast<float>(0.3 + random.uniform()));
  for (int64_t i = 0; i < blocks; i++) m.absmax8.push_back(static_cast<uint8_t>(random.below(256)));
  for (int64_t i = 0; i < (blocks + 3) / 4; i++) m.absmax2.push_back(static_cast<float>(0.2 + random.uniform()));
  q.codebook = m.codebook.data();
  q.absmax = nested ? nullptr : m.absmax.data();
  q.absmax8 = nested ? m.absmax8.data() : nullptr;
  q.code2 = m.code2.data();
  q.absmax2 = m.absmax2.data();
  m.bytes.resize((count + 1) / 2);
  for (char& b : m.bytes) b = static_cast<char>(random.below(256));
  for (int64_t i = 0; i < count; i++) {
    uint8_t pair = static_cast<uint8_t>(m.bytes[i / 2]);
    volatile float product = nested ? m.code2[m.absmax8[i / q.blocksize]] * m.absmax2[i / q.blocksize / 4] : m.absmax[i / q.blocksize];
    volatile float scale = nested ? product + q.offset : product;
    volatile float value = m.codebook[i % 2 ? pair & 15 : pair >> 4] * scale;
    m.values.push_back(value);
  }
}

// nothing but NaNs: to be written to
inline Matrix blank(DType dtype, int64_t rows, int64_t cols, int gap) {
  Matrix m;
  m.tensor = {nullptr, rows, cols, cols + gap, dtype, 0, nullptr};
  m.bytes.assign(rows * (cols + gap) * sizeOf(dtype), static_cast<char>(0xff));
  return m;
}

inline Matrix make(Random& random, DType dtype, int64_t rows, int64_t cols, int gap, bool nested = false, int blocksize = 64) {
  Matrix m = blank(dtype, rows, cols, gap);
  m.blocksize = blocksize;
  if (dtype == DType::nf4) {
    m.tensor.stride = cols;
    makeNf4(m, random, nested);
  } else {
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < cols; j++) {
        float v = static_cast<float>(2 * random.uniform() - 1);
        char* to = m.bytes.data() + (i * (cols + gap) + j) * sizeOf(dtype);
        uint16_t half = dtype == DType::bf16 ? toBf16(v) : toHalf(v);
        if (dtype == DType::f32) memcpy(to, &v, 4);
        else memcpy(to, &half, 2);
      }
    }
  }
  return m;
}

// the tensor, with the addresses that a moved Matrix has now
inline Tensor& bound(Matrix& m) {
  m.tensor.data = m.bytes.data();
  m.tensor.quant = m.tensor.dtype == DType::nf4 ? &m.quant : nullptr;
  return m.tensor;
}

// the same, its values noted
inline Tensor& ready(Matrix& m) {
  bound(m);
  if (m.values.empty()) {
    for (int64_t i = 0; i < m.tensor.rows; i++) {
      for (int64_t j = 0; j < m.tensor.cols; j++) m.values.push_back(read(m.tensor, i, j));
    }
  }
  return m.tensor;
}

}  // namespace saqr::test
