/** Libraries that stand for NVIDIA's, made by the compiler that builds the CPU library. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { platformHere } from '../../src/devices/platforms.ts'

// JavaScript, which tools/ready.mjs runs before there is anything else
const { systemCompiler }: { systemCompiler: (platform: object) => { command: string[] } } = await import(
  join(import.meta.dirname, '../../native/compilers.mjs')
)
const [compiler, ...options] = systemCompiler(platformHere()).command as [string, ...string[]]
const env = { ...process.env }

/** @param args of the compiler: sources of this folder, definitions */
export function buildLibrary(path: string, ...args: string[]): void {
  const link = ['-shared', '-fPIC', '-o', path]
  execFileSync(compiler, [...options, ...link, ...args], { cwd: import.meta.dirname, env, stdio: ['ignore', 'inherit', 'inherit'] })
}
