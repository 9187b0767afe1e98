// What every native kernel sees: tensors, steps, the worker that runs them. The TypeScript side (devices/cpu) writes the same layout.
#pragma once
#include <cstddef>
#include <cstdint>

namespace saqr {

// From q4_0 on GGUF's blocks, as a file has them: rows of whole blocks, one behind the other.
enum class DType : int32_t { f32, bf16, f16, i32, u8, nf4, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k };

// How an NF4 weight [rows, cols] is dequantised: value = codebook[nibble] * absmax(block), blocks of `blocksize` over the row-major
// flattened weight, even element in the high nibble. Nested: absmax(b) = code2[absmax8[b]] * absmax2[b / blocksize2] + offset, in f32.
struct Quant {
  const float* codebook;   // (16)
  const float* absmax;     // (blocks) or null when nested
  const uint8_t* absmax8;  // (blocks) or null
  const float* code2;      // (256)
  const float* absmax2;    // (ceil(blocks / blocksize2))
  float offset;
  int32_t blocksize, blocksize2;
};

struct Tensor {            // 48 bytes, little endian, written by devices/cpu/lower.ts
  void* data;              // null: absent
  int64_t rows, cols;
  int64_t stride;          // elements between rows
  DType dtype;
  int32_t firstBlock;      // nf4 only: the block of `quant` that data begins with (not 0 for one expert of many)
  const Quant* quant;      // nf4 only
};
static_assert(sizeof(Tensor) == 48, "layout is shared with TypeScript");

struct Worker;
struct Step;
using Kernel = void (*)(const Step&, Worker&);

struct Step {              // 48 bytes
  Kernel kernel;           // resolved from the kernel index at load
  const Tensor* tensors;   // outputs first, then inputs, absent ones null
  const double* attrs;     // in the op's declared order
  char* workspace;         // arena scratch of this step, or null
  int32_t outputs, inputs, attrCount, reserved;
};

// One thread's view of a running pass. All threads run every step; a barrier stands between steps.
struct Worker {
  int id, count;
  char* scratch;           // this thread's own, kScratchBytes
  char* shared;            // all threads' together, kSharedBytes: between barriers
  void barrier();          // for kernels of several phases
  bool aborted() const;    // long kernels look now and then and return early (see pool.cpp: a barrier of a stopped run doesn't wait)
  void fail(const char* why);  // ends the run with status 2 and this message (a dtype that a kernel doesn't take …)
  void* pool;
};
constexpr size_t kScratchBytes = 8u << 20, kSharedBytes = 16u << 20;

// Contiguous share [from, to) of n items for this thread, cut at multiples of `grain`. Static: the cut depends on n and the thread count only.
struct Range { int64_t from, to; };
inline Range share(const Worker& w, int64_t n, int64_t grain = 1) {
  int64_t chunks = (n + grain - 1) / grain;
  int64_t a = chunks * w.id / w.count * grain, b = chunks * (w.id + 1) / w.count * grain;
  return {a < n ? a : n, b < n ? b : n};
}

struct Registration {
  const char* name; Kernel kernel; Registration* next;
  Registration(const char* name, Kernel kernel);
};
// In an op's cpu.cpp:  SAQR_KERNEL(rms_norm) { … step.tensors[0] … worker.id … }   (name = the op's name)
#define SAQR_KERNEL(op) \
  static void op##_kernel(const saqr::Step& step, saqr::Worker& worker); \
  static saqr::Registration op##_registration(#op, op##_kernel); \
  static void op##_kernel(const saqr::Step& step, saqr::Worker& worker)

}  // namespace saqr
