/**
 * Asks PyPI whether what src/devices/cuda/wheels.ts pins is there, with the size and the SHA-256 it says:
 *   node --import ./tools/ts.mjs tools/cuda-wheels.ts
 */
import { incoming } from '../src/devices/cuda/install.ts'
import { RELEASES } from '../src/devices/cuda/wheels.ts'

for (const { version, wheels } of RELEASES)
  for (const wheel of Object.values(wheels).flat()) {
    const { size } = await incoming(wheel)
    console.log(`CUDA ${version}: ${wheel.file}, ${size} bytes, sha256 ${wheel.sha256.slice(0, 12)}…: as pinned`)
  }
