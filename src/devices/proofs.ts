/** What ran where. Written by tools/platforms.mjs and tools/symbols.mjs with --record, which ran it. */

export interface Proof {
  /** of platforms.ts */
  platform: string
  /** `product`: the packages as a user installs them, quickstart, a training killed and resumed; `kernels`: ops' cases against the definitions, and a small training against x86-64's; `symbols`: what the library asks of its system, held against the oldest one's list */
  what: 'product' | 'kernels' | 'symbols'
  variant: string
  /** what ran it; of symbols what it was held against */
  runtime: string
  /** the emulator; '' where it ran on the processor itself */
  under: string
  /** ops of kernels */
  ops: number
  /** small cases of each op alone; every case where it doesn't say */
  small?: boolean
  /** its version, and the day: what ran is as old as that */
  saqr: string
  on: string
}

export const PROOFS: readonly Proof[] = [
  {
    platform: 'darwin-arm64',
    what: 'symbols',
    variant: 'arm64',
    runtime: 'macOS 11 or later, Apple silicon',
    under: '',
    ops: 0,
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'darwin-arm64',
    what: 'symbols',
    variant: 'arm64-bf16',
    runtime: 'macOS 11 or later, Apple silicon',
    under: '',
    ops: 0,
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'darwin-x64',
    what: 'symbols',
    variant: 'x86-64-v3',
    runtime: 'macOS 11 or later, x86-64',
    under: '',
    ops: 0,
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'linux-arm64',
    what: 'kernels',
    variant: 'arm64',
    runtime: 'Node 24.19.0',
    under: 'QEMU 7.2',
    ops: 1,
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'linux-arm64',
    what: 'kernels',
    variant: 'arm64-bf16',
    runtime: 'Node 24.19.0',
    under: 'QEMU 7.2',
    ops: 3,
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'linux-x64',
    what: 'product',
    variant: 'x86-64-v4-bf16',
    runtime: 'Bun 1.4.5',
    ops: 0,
    under: '',
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'linux-x64',
    what: 'product',
    variant: 'x86-64-v4-bf16',
    runtime: 'Deno 2.9.6',
    ops: 0,
    under: '',
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'linux-x64',
    what: 'product',
    variant: 'x86-64-v4-bf16',
    runtime: 'Node 20.19.0',
    ops: 0,
    under: '',
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'linux-x64',
    what: 'product',
    variant: 'x86-64-v4-bf16',
    runtime: 'Node 22.20.0',
    ops: 0,
    under: '',
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'linux-x64',
    what: 'product',
    variant: 'x86-64-v4-bf16',
    runtime: 'Node 24.9.0',
    ops: 0,
    under: '',
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'linux-x64-musl',
    what: 'kernels',
    variant: 'x86-64-v3',
    runtime: 'Node 24.19.0',
    under: '',
    ops: 1,
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'linux-x64-musl',
    what: 'product',
    variant: 'x86-64-v3',
    runtime: 'Node 24.19.0',
    under: '',
    ops: 0,
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'win32-x64',
    what: 'kernels',
    variant: 'x86-64-v3',
    runtime: 'Node 22.20.0',
    under: 'Wine 8.0',
    ops: 1,
    saqr: '0.1.0',
    on: '2026-11-26',
  },
  {
    platform: 'win32-x64',
    what: 'product',
    variant: 'x86-64-v3',
    runtime: 'Node 22.20.0',
    under: 'Wine 8.0',
    ops: 0,
    saqr: '0.1.0',
    on: '2026-11-26',
  },
]
