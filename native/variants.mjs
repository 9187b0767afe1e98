// The libraries of an architecture: what each is compiled for, and what a processor must have to run it.

/**
 * Best first. `needs`: what the processor has to have, by the names of /proc/cpuinfo (devices/cpu/processor.ts asks other systems). `systems`:
 * it is of these alone. `refusable`: the system may forbid it when the library is opened, so the next is built too. `slowOn`: vendor whose
 * processors run it, but slower than the next: Intel's cores take the bf16 dot product at half the rate of f32 multiply-adds (149 and
 * 306 GFLOP/s on two threads of a Xeon, bench/results/ops-xeon.txt), AMD's at twice. `zig`: the processor by the cross compiler's name.
 * `over`: what doesn't see the tiles is that variant's code, byte for byte, and compiled once for both.
 * None is of arm64's SVE: most servers' vectors of it are NEON's 128 bits, where the product's loop is 33 instructions instead of 36 (bf16: 34) for
 * as many multiply-adds, and Neoverse V1, with 256, has two units of that width where it has four of NEON's (bench/results/platforms.txt).
 */
export const VARIANTS = [
  {
    name: 'x86-64-amx',
    over: 'x86-64-v4-bf16',
    arch: 'x64',
    systems: ['linux'], // which a process asks for its tiles
    refusable: true,
    flags: ['-march=x86-64-v4', '-mavx512bf16', '-mamx-tile', '-mamx-bf16', '-mprefer-vector-width=512'],
    zig: ['-mcpu=x86_64_v4+avx512bf16+amx_tile+amx_bf16', '-mprefer-vector-width=512'],
    needs: ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl', 'avx512_bf16', 'amx_tile', 'amx_bf16'],
  },
  {
    name: 'x86-64-v4-bf16',
    arch: 'x64',
    systems: ['linux', 'win32'], // no Mac has it
    flags: ['-march=x86-64-v4', '-mavx512bf16', '-mprefer-vector-width=512'],
    zig: ['-mcpu=x86_64_v4+avx512bf16', '-mprefer-vector-width=512'],
    needs: ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl', 'avx512_bf16'],
    slowOn: 'GenuineIntel',
  },
  {
    name: 'x86-64-v4',
    arch: 'x64',
    systems: ['linux', 'win32'], // few Macs have it
    flags: ['-march=x86-64-v4', '-mprefer-vector-width=512'],
    zig: ['-mcpu=x86_64_v4', '-mprefer-vector-width=512'],
    needs: ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'],
  },
  { name: 'x86-64-v3', arch: 'x64', flags: ['-march=x86-64-v3'], zig: ['-mcpu=x86_64_v3'], needs: ['avx2', 'fma', 'bmi2', 'f16c'] },
  {
    name: 'arm64-bf16',
    arch: 'arm64',
    flags: ['-march=armv8.2-a+bf16'],
    zig: ['-mcpu=generic+v8_2a+bf16'],
    needs: ['bf16'],
  },
  { name: 'arm64', arch: 'arm64', flags: [], zig: ['-mcpu=generic'], needs: [] },
]

/** Never shipped: the tiles' arithmetic in C++, so that what is written for them is tested on any processor with AVX-512. */
export const EMULATED = {
  name: 'x86-64-amx-emulated',
  over: 'x86-64-v4-bf16',
  arch: 'x64',
  flags: ['-march=x86-64-v4', '-mavx512bf16', '-DSAQR_TILES_EMULATED', '-mprefer-vector-width=512'],
}
