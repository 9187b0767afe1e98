// The tensor cores' m16n8k16 product and what feeds it (PTX ISA, "Matrix fragments for mma.m16n8k16"): sm_80 and later. Comes after cuda.cuh.
#pragma once

__device__ __forceinline__ void loadMatricesTransposed(Fragment& f, unsigned at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3]) : "r"(at) : "memory");
}

// Rows of shared memory are `pitch` elements apart. Each returns this lane's share.
// A: rows [row, row + 16), columns [k, k + 16)
__device__ __forceinline__ void loadA(Fragment& f, const bf16* x, int pitch, int row, int k) {
  int lane = threadIdx.x % 32;
  loadMatrices(f, sharedAddress(x + (row + lane % 16) * pitch + k + lane / 16 * 8));
}
// the same from rows that are columns of A: columns [k, k + 16) of A in rows [k, k + 16)
__device__ __forceinline__ void loadATransposed(Fragment& f, const bf16* x, int pitch, int k, int row) {
  int lane = threadIdx.x % 32;
  loadMatricesTransposed(f, sharedAddress(x + (k + lane % 8 + lane / 16 * 8) * pitch + row + lane / 8 % 2 * 8));
}
// two B tiles from rows that are columns of B: columns [n, n + 16), k from k on
__device__ __forceinline__ void loadB(Fragment& f, const bf16* x, int pitch, int n, int k) {
  int lane = threadIdx.x % 32;
  loadMatrices(f, sharedAddress(x + (n + lane % 8 + lane / 16 * 8) * pitch + k + lane / 8 % 2 * 8));
}
// two B tiles from rows that are rows of B
__device__ __forceinline__ void loadBTransposed(Fragment& f, const bf16* x, int pitch, int k, int n) {
  int lane = threadIdx.x % 32;
  loadMatricesTransposed(f, sharedAddress(x + (k + lane % 16) * pitch + n + lane / 16 * 8));
}

__device__ __forceinline__ void multiply(float (&c)[4], const Fragment& a, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// two neighbouring accumulators (16 × 8 each) as the A of the next product
__device__ __forceinline__ void toA(Fragment& f, const float (&left)[4], const float (&right)[4]) {
  f[0] = pack(left[0], left[1]);
  f[1] = pack(left[2], left[3]);
  f[2] = pack(right[0], right[1]);
  f[3] = pack(right[2], right[3]);
}

// 16 bytes from global to shared memory, zeros where `inside` is false
__device__ __forceinline__ void copyAsync(void* to, const void* from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(to)), "l"(from), "r"(inside ? 16 : 0));
}
__device__ __forceinline__ void commitCopies() { asm volatile("cp.async.commit_group;"); }
template <int PENDING> __device__ __forceinline__ void waitCopies() { asm volatile("cp.async.wait_group %0;" ::"n"(PENDING)); }
