#!/usr/bin/env node
// Instructions that the kernels' multiply-adds cost, of each built variant beside the others, where a processor to time them on isn't at hand:
//   node tools/instructions.mjs [PLATFORM/VARIANT …]        after `node native/build.mjs --platform PLATFORM`; without: all that are built
// Of a file's loops without a loop inside, and with a dozen multiply-adds of whole vectors, the one that spends fewest instructions on each is
// counted, its branch too: what most of the work is done in. LLVM's objdump reads every platform's objects (apt install llvm).
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { objectOf, variantsOf } from '../native/builder.mjs'
import { PLATFORMS } from '../native/platforms.mjs'

/** where most of a step's time goes */
const FILES = ['native/gemm-kernel.cpp', 'src/ops/attention/forward-bf16-cpu.cpp']
/** of whole vectors of f32, of pairs of bf16, of tiles */
const MULTIPLY_ADD = /^(fml[as](\.4s|\s.*\.4s)|bfdot|bfmmla|bfmlal[bt]|vfn?m(add|sub)\d+ps|vdpbf16ps|tdpbf16ps)/
const BRANCH = { x64: /^(j[a-z]+)\s+(?:0x)?([0-9a-f]+)/, arm64: /^(b|b\.[a-z]+|cbn?z|tbn?z)\s.*?(?:0x)?([0-9a-f]+)(?:\s|$)/ }

const wanted = process.argv.slice(2)
for (const platform of PLATFORMS)
  for (const { name } of variantsOf(platform)) {
    if (wanted.length > 0 && !wanted.includes(`${platform.name}/${name}`)) continue
    for (const file of FILES) {
      const object = objectOf(name, platform, file)
      if (!existsSync(object)) continue
      const { multiplyAdds, instructions, each } = densest(functionsOf(object, platform), object)
      const title = `${platform.name}/${name}`.padEnd(30)
      console.log(`${title}${file.padEnd(40)}${instructions} instructions for ${multiplyAdds} multiply-adds: ${each.toFixed(2)} each`)
    }
  }

/** each function's instructions: where they lie, and what they say */
function functionsOf(object, { cpu }) {
  // what variants.mjs compiles for; not every LLVM knows +all, without which it reads no dot product of bf16
  const options = ['-d', '--no-show-raw-insn', ...(cpu === 'arm64' ? ['--mattr=+v8.2a,+bf16'] : [])]
  const r = spawnSync('llvm-objdump', [...options, object], { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (r.status !== 0) throw new Error(`llvm-objdump ${object}: ${r.error?.message ?? r.stderr} (apt install llvm)`)
  return r.stdout.split(/^[0-9a-f]+ <.*>:$/m).map((text) =>
    [...text.matchAll(/^\s*([0-9a-f]+):\s+(.*)$/gm)].map(([, at, said]) => {
      const to = BRANCH[cpu].exec(said.replace(/\s+/g, ' ').split('<')[0])
      return { at: Number.parseInt(at, 16), said, to: to ? Number.parseInt(to[2], 16) : undefined }
    }),
  )
}

/**
 * of the innermost loops: from where a branch leads back to, to the branch
 * @throws where one has an instruction that this LLVM doesn't know; outside of them macOS's objects have tables of jumps, which are read as code
 */
function densest(functions, object) {
  let best = { multiplyAdds: 0, instructions: 0, each: Number.POSITIVE_INFINITY }
  for (const list of functions) {
    const loops = list.flatMap(({ at, to }) => (to !== undefined && to <= at ? [{ from: to, at }] : []))
    for (const { from, at } of loops) {
      if (loops.some((other) => other.at < at && other.from >= from)) continue
      const inside = list.filter((each) => each.at >= from && each.at <= at)
      if (inside.some(({ said }) => said.startsWith('<unknown>')))
        throw new Error(`llvm-objdump ${object}: a loop at 0x${from.toString(16)} has instructions that this LLVM doesn't know`)
      const multiplyAdds = inside.filter(({ said }) => MULTIPLY_ADD.test(said)).length
      const each = inside.length / multiplyAdds
      if (multiplyAdds >= 12 && each < best.each) best = { multiplyAdds, instructions: inside.length, each }
    }
  }
  return best
}
