// The platforms of src/devices/platforms.ts, with what the cross compiler calls each: the oldest glibc or macOS that it runs on.
import '../tools/ts.mjs'

const { PLATFORMS: listed, platformHere } = await import('../src/devices/platforms.ts')

const ZIG = {
  'linux-x64': 'x86_64-linux-gnu.2.28',
  'linux-arm64': 'aarch64-linux-gnu.2.28',
  'linux-x64-musl': 'x86_64-linux-musl',
  'darwin-arm64': 'aarch64-macos.11.0',
  'darwin-x64': 'x86_64-macos.11.0',
  'win32-x64': 'x86_64-windows-gnu',
}

export const PLATFORMS = listed.map((platform) => ({ ...platform, zig: ZIG[platform.name] }))

/** @returns the platform of that name. @throws Error where there is none */
export function platformOf(name) {
  const found = PLATFORMS.find((p) => p.name === name)
  if (!found) throw new Error(`No platform "${name}": ${PLATFORMS.map((p) => p.name).join(', ')}.`)
  return found
}

/** @returns the one that this process runs on. @throws Error where there is none */
export const platformOfThis = () => platformOf(platformHere().name)
